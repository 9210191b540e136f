"""The two commands: ``lvsagent`` runs the agent, ``lvsctl`` talks to one that runs.

Owns the arguments and exit statuses.  Nothing heavy is imported before it is known what is wanted: lvsctl must answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lvsagent.core.spread import MOST_NANNIES, nanny_names

DEFAULT_SETTINGS = Path("/etc/piranha/agent.toml")

OK, FAILED, USAGE, NO_AGENT = 0, 1, 2, 3


def agent_main(argv: Sequence[str] | None = None) -> int:
    """``lvsagent``.  Exit status 0: ended as asked; 1: it could not run, and said why; 2: wrong arguments."""
    arguments = _agent_parser().parse_args(argv)
    config = arguments.config.absolute()
    if arguments.command == "receive":
        from lvsagent.receive import main  # noqa: PLC0415

        return main(config)
    if arguments.command == "child":
        from lvsagent.child import run_child  # noqa: PLC0415

        return run_child(arguments.name, config, arguments.supervisor, arguments.nannies)
    return _run(config) if arguments.command == "run" else _check_config(config)


def ctl_main(argv: Sequence[str] | None = None) -> int:
    """``lvsctl``.  Exit status 0: done; 1: refused, or errors were found; 2: wrong arguments; 3: no agent answers."""
    from lvsagent.ctl import run_command  # noqa: PLC0415

    return run_command(argv)


def _agent_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lvsagent", description="The on-host agent of a Linux Virtual Server director.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the supervisor and its processes lvsd, pulse and nanny in the foreground")
    check = commands.add_parser("check-config", help="say what is wrong with agent.toml")
    child = commands.add_parser("child", help="be one of the processes (what the supervisor starts)")
    child.add_argument("name", choices=("lvsd", "pulse", *nanny_names(MOST_NANNIES)), metavar="lvsd|pulse|nanny|nanny-2|…")
    child.add_argument("--supervisor", type=int, default=0, metavar="PID", help="leave when this parent process ends")
    child.add_argument("--nannies", type=int, default=0, choices=range(MOST_NANNIES + 1), metavar="N", help="how many there are")
    receive = commands.add_parser("receive", help="serve the other director (what sshd starts for its key, and nothing else)")
    for command in (run, check, child, receive):
        command.add_argument("--config", type=Path, default=DEFAULT_SETTINGS, metavar="agent.toml", help="default: %(default)s")
    return parser


def _run(config: Path) -> int:
    from lvsagent.adapters.clock import SystemClock  # noqa: PLC0415
    from lvsagent.child import start_logging  # noqa: PLC0415
    from lvsagent.ports import AdapterError  # noqa: PLC0415
    from lvsagent.settings import SettingsError, load_settings  # noqa: PLC0415
    from lvsagent.supervisor import run_agent  # noqa: PLC0415

    start_logging("lvsagent")
    try:
        return run_agent(config, load_settings(config), SystemClock())
    except (SettingsError, AdapterError) as error:
        return _fail("lvsagent", str(error))


def _check_config(config: Path) -> int:
    from lvsagent.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        settings = load_settings(config)
    except SettingsError as error:
        return _fail("lvsagent", str(error))
    sys.stdout.write(f"{config}: no errors; the agent's socket is {settings.agent_socket}\n")
    return OK


def _fail(program: str, message: str) -> int:
    sys.stderr.write("".join(f"{program}: {line}\n" for line in message.splitlines()))
    return FAILED


if __name__ == "__main__":
    sys.exit(agent_main())
