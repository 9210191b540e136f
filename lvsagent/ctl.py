"""lvsctl: each command is one question to the agent (``check`` needs none), printed as text or as JSON.

Owns the arguments and which exit status means what.  What the answers look like is ``ctl_text``'s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lvsagent import ctl_foreign, ctl_health, ctl_server_arguments
from lvsagent.client import AgentClient, AgentDown, AgentError, AgentRefused, InvalidConfig, PlanGrown, StaleConfig, Unconfirmed

DEFAULT_SOCKET = Path("/run/lvsagent/agent.sock")
OK, FAILED, NO_AGENT = 0, 1, 3
PAGE = 200
DEFAULT_SETTINGS = Path("/etc/piranha/agent.toml")
FAILOVER = {
    "step-down": "hand the role to the other director",
    "take-over": "have the other director step down for this one",
    "maintenance": "give up the role and stay standby, over restarts too, until resume",
    "resume": "end maintenance",
}


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command.  Returns the exit status."""
    arguments = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that are not UTF-8
    handler: Callable[[argparse.Namespace], int] = arguments.handler
    try:
        status = handler(arguments)
        sys.stdout.flush()
    except AgentError as error:
        return _report(error, as_json=getattr(arguments, "json", False))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has seen enough
        return OK
    except OSError as error:
        sys.stderr.write(f"lvsctl: {error.filename or ''}: {error.strerror}\n")
        return FAILED
    return status


# --- arguments -----------------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lvsctl", description="Ask the agent of this director, or tell it what to do.")
    parser.add_argument("--socket", type=Path, default=DEFAULT_SOCKET, metavar="PATH", help="the agent's socket (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _reading_commands(commands)
    plan = _add(commands, "plan", _plan, "show what an lvs.cf would change, and change nothing")
    apply = _add(commands, "apply", _apply, "write an lvs.cf and put it in force at once")
    for command in (plan, apply):
        command.add_argument("file", metavar="FILE", help="the new lvs.cf; - for standard input")
        command.add_argument("--if-match", default="", metavar="ETAG", help="only if lvs.cf still has this etag (see config --json)")
    apply.add_argument("--comment", default="", help="why; kept with the change")
    apply.add_argument("--plan", default="", metavar="FINGERPRINT", help="refuse if it would do more than the plan that lvsctl plan showed")
    _safe_arguments(apply)
    guard = _add(commands, "guard", _of("ctl_guard", "guard"), "the change that goes back by itself: confirm it, or have it back now")
    guard.add_argument("action", choices=("status", "confirm", "revert"))
    _history_commands(commands)
    _add(commands, "announce", _announce, "send gratuitous ARP for every address again", json_too=False)
    _pair_commands(commands)
    _sync_commands(commands)
    ctl_server_arguments.add_arguments(
        _add(commands, "server", _of("ctl_servers", "server"), "drain a real server or a host, force it, weigh it")
    )
    ctl_foreign.add_commands(commands, _add, lambda arguments: _agent(arguments).config().text)
    _add(commands, "reload", _reload, "have lvs.cf read again (after an edit by hand; needs root)", json_too=False)
    return parser


def _safe_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes-take-out", action="store_true", help="a large change: name what it takes out of service, and do it")
    command.add_argument("--guard", type=float, default=0.0, metavar="SECONDS", help="it goes back by itself unless confirmed in time")


def _reading_commands(commands: Any) -> None:
    check = _add(commands, "check", _check, "say what is wrong with an lvs.cf; needs no agent")
    check.add_argument("files", nargs="+", metavar="FILE")
    status = _add(commands, "status", _status, "this director, its virtual servers and real servers")
    status.add_argument("virtual", nargs="?", default="", metavar="NAME", help="only the virtual server of that name")
    events = _add(commands, "events", _events, "what happened last")
    events.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: %(default)s)")
    checks = _add(commands, "checks", _checks, "every health check and its last result")
    checks.add_argument("virtual", nargs="?", default="", metavar="NAME", help="only those of the virtual server of that name")
    explain = _add(commands, "explain", _explain, "why a real server is in or out: its check's last results")
    explain.add_argument("server", metavar="SERVER", help="VIRTUAL/SERVER, or a server's name or address")
    doctor = _add(commands, "doctor", _of("ctl_doctor", "doctor"), "what is missing on the real servers, and the commands to run there")
    doctor.add_argument("virtual", nargs="?", default="", metavar="NAME", help="only one virtual server, or one real server")
    ctl_health.add_arguments(
        _add(commands, "health", _of("ctl_health", "health"), "let go of servers that are held down or kept in service")
    )
    config = _add(commands, "config", _config, "print lvs.cf as it stands")
    config.add_argument("--previous", action="store_true", help="as it stood before the last accepted change")
    routing = _add(commands, "table", _table, "print the routing table as ipvsadm does")
    routing.add_argument("--rules", action="store_true", help="in the form that ipvsadm -R reads")


def _history_commands(commands: Any) -> None:
    history = _add(commands, "history", _of("ctl_history", "history"), "the revisions of lvs.cf, newest first: who changed what, and when")
    history.add_argument("--limit", type=_number, default=20, metavar="N", help="how many (default: %(default)s)")
    show = _add(commands, "show", _of("ctl_history", "show"), "one revision of lvs.cf")
    show.add_argument("--text", action="store_true", help="print lvs.cf as it was then, and nothing else")
    compare = _add(commands, "diff", _of("ctl_history", "diff"), "what leads from one revision to another, in words and as text")
    compare.add_argument("a", type=_number, metavar="A", help="a revision's number")
    compare.add_argument("b", type=_number, nargs="?", metavar="B", help="another's (default: lvs.cf as it stands)")
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--words", action="store_true", help="in words only")
    form.add_argument("--text", action="store_true", help="as text only, as diff -u prints it")
    back = _add(commands, "rollback", _of("ctl_history", "rollback"), "put a revision's lvs.cf back, as the next serial, in force at once")
    back.add_argument("--comment", default="", help="why; kept with the change")
    _safe_arguments(back)
    back.set_defaults(plan="")
    for command in (show, back):
        command.add_argument("number", type=_number, metavar="N", help="the revision's number (see history)")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 10**15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _pair_commands(commands: Any) -> None:
    role = _add(commands, "role", _for_pairs("role"), "this director's role; exit status 0 active, 1 standby, 2 any other, 3 no agent")
    role.add_argument("--watch", action="store_true", help="go on, and print every change")
    failover = _add(commands, "failover", _for_pairs("failover"), "move the role, or keep it away from here", json_too=False)
    failover.add_argument("action", choices=tuple(FAILOVER), help="; ".join(f"{name}: {words}" for name, words in FAILOVER.items()))
    failover.add_argument("--reason", default="", help="why; kept in the events")
    rehearse = _add(commands, "rehearse", _for_pairs("rehearse"), "measure what a failover costs, as a client sees it")
    what = rehearse.add_mutually_exclusive_group(required=True)
    what.add_argument("--url", metavar="URL|HOST:PORT", help="the service, through its virtual address: http://… or a port that accepts")
    what.add_argument("--history", action="store_true", help="print what was measured before")
    rehearse.add_argument("--trigger", action="store_true", help="move the role meanwhile, through the agent of this host")
    rehearse.add_argument("--seconds", type=float, default=5.0, metavar="N", help="for how long to ask (default: %(default)g)")
    _pairing_commands(commands)


def _pairing_commands(commands: Any) -> None:
    pair = _add(commands, "pair", _for_pairing("pair"), "make two directors know each other; needs root, and no agent")
    pair.add_argument("address", nargs="?", default="", metavar="ADDRESS", help="of the director that waits")
    pair.add_argument("code", nargs="?", default="", metavar="CODE", help="that it shows; asked for when it is not given")
    way = pair.add_mutually_exclusive_group()
    way.add_argument("--wait", action="store_true", help="show a one-time code, and wait until it is typed on the other director")
    way.add_argument("--export", type=Path, metavar="FILE", help="write what the other director must know of this one into FILE")
    way.add_argument("--import", type=Path, metavar="FILE", dest="import_", help="take what the other director has exported")
    way.add_argument("--status", action="store_true", help="whom this director is paired with, and the fingerprints of all keys")
    way.add_argument("--make", type=Path, metavar="FILE", help="only a heartbeat key: make a fresh one in FILE, for both directors to take")
    way.add_argument("--take", type=Path, metavar="FILE", help="only a heartbeat key: put the one in FILE in force on this director")
    pair.add_argument("--rotate", action="store_true", help="with a code or --export: this director comes with a new key from now on")
    pair.add_argument("--own-address", action="append", default=[], metavar="ADDRESS", help="of this director, if lvs.cf does not say it")
    pair.add_argument("--port", type=int, default=0, help="where the one that waits listens (default: pair_port in agent.toml)")
    unpair = _add(
        commands, "unpair", _for_pairing("unpair"), "forget the other director: its key opens nothing here any more", json_too=False
    )
    for command in (pair, unpair):
        command.add_argument(
            "--config", type=Path, default=DEFAULT_SETTINGS, metavar="agent.toml", help="of this director (default: %(default)s)"
        )


def _sync_commands(commands: Any) -> None:
    sync = _add(commands, "sync", _for_sync("sync"), "how the other director's lvs.cf stands; exit status 0 in step, 1 not, 3 no agent")
    sync.add_argument("--now", action="store_true", help="compare first; whichever of the two is behind gets what it lacks")
    drift = _add(commands, "drift", _for_sync("drift"), "file, running lvs.cf and table, here and there; exit status 0 alike, 1 not")
    way = drift.add_mutually_exclusive_group()
    way.add_argument("--adopt", dest="action", action="store_const", const="adopt", help="apply the file as it stands on the disk")
    way.add_argument("--restore", dest="action", action="store_const", const="restore", help="write what runs back into the file")
    way.add_argument("--reconcile", dest="action", action="store_const", const="reconcile", help="make the table what lvs.cf says, now")


def _for_sync(name: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from lvsagent import ctl_sync  # noqa: PLC0415

        return ctl_sync.HANDLERS[name](arguments, _agent(arguments))

    return run


def _for_pairs(name: str) -> Callable[[argparse.Namespace], int]:
    return _of("ctl_pair", name)


def _of(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A command that lives in a module of its own, which is loaded when it is used."""

    def run(arguments: argparse.Namespace) -> int:
        handlers: dict[str, Callable[[argparse.Namespace, AgentClient], int]] = import_module(f"lvsagent.{module}").HANDLERS
        return handlers[name](arguments, _agent(arguments))

    return run


def _for_pairing(name: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from lvsagent import ctl_pairing  # noqa: PLC0415

        return ctl_pairing.HANDLERS[name](arguments)

    return run


def _add(
    commands: Any, name: str, handler: Callable[[argparse.Namespace], int], words: str, *, json_too: bool = True
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    command.set_defaults(handler=handler)
    if json_too:
        command.add_argument("--json", action="store_true", help="for programs")
    return command


def _agent(arguments: argparse.Namespace) -> AgentClient:
    return AgentClient(arguments.socket, timeout_s=30, actor=caller(os.getuid(), os.environ), origin="lvsctl")


def caller(uid: int, environ: Mapping[str, str]) -> str:
    """Who is said to have done it; under sudo that is who called sudo, since everybody is root."""
    try:
        return (uid == 0 and environ.get("SUDO_USER")) or pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _print(arguments: argparse.Namespace, values: Callable[[], Any], text: Callable[[], str]) -> None:
    if arguments.json:
        json.dump(values(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(text())


def _report(error: AgentError, *, as_json: bool) -> int:
    """Why not, to standard error; with ``--json`` also as an object where the answer would have been."""
    import msgspec  # noqa: PLC0415

    from lvsagent.ctl_text import diagnostics_text, safe  # noqa: PLC0415

    diagnostics = error.diagnostics if isinstance(error, InvalidConfig) else ()
    if as_json:
        codes = {AgentDown: "down", StaleConfig: "stale", InvalidConfig: "invalid", PlanGrown: "grown", Unconfirmed: "unconfirmed"}
        code = codes.get(type(error), "refused")
        code = error.code if isinstance(error, AgentRefused) else code
        problem = {"error": {"code": code, "message": str(error), "diagnostics": msgspec.to_builtins(diagnostics)}}
        sys.stdout.write(json.dumps(problem) + "\n")
    sys.stderr.write(f"lvsctl: {safe(error)}\n" + diagnostics_text(diagnostics))
    return NO_AGENT if isinstance(error, AgentDown) else FAILED


# --- commands ------------------------------------------------------------------------------------------------------------------


def _check(arguments: argparse.Namespace) -> int:
    from lvsagent.check_report import run_check  # noqa: PLC0415

    return run_check(arguments.files, as_json=arguments.json, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ, out=sys.stdout)


def _status(arguments: argparse.Namespace) -> int:
    from lvsagent import ctl_text  # noqa: PLC0415

    state = _whole_state(_agent(arguments), arguments.virtual)
    _print(arguments, lambda: ctl_text.status_values(state), lambda: ctl_text.status_text(state))
    if arguments.virtual and not state.virtual_servers:
        return FAILED
    return OK


def _whole_state(agent: AgentClient, virtual: str) -> Any:
    """Every page of it, the first one's time and alerts."""
    import msgspec  # noqa: PLC0415

    state = agent.state(virtual=virtual, servers=True, per_page=PAGE)
    servers = list(state.virtual_servers)
    page = 1
    while len(servers) < state.matching:
        page += 1
        more = agent.state(virtual=virtual, servers=True, per_page=PAGE, page=page).virtual_servers
        if not more:
            break
        servers += more
    return msgspec.structs.replace(state, virtual_servers=servers)


def _events(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from lvsagent import ctl_text  # noqa: PLC0415

    found = _agent(arguments).events(limit=arguments.limit)
    _print(arguments, lambda: msgspec.to_builtins(found), lambda: ctl_text.events_text(found.events))
    return OK


def _checks(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from lvsagent import ctl_text  # noqa: PLC0415

    agent = _agent(arguments)
    found = agent.checks(virtual=arguments.virtual, per_page=PAGE)
    checks = list(found.checks)
    page = 1
    while len(checks) < found.matching:
        page += 1
        more = agent.checks(virtual=arguments.virtual, per_page=PAGE, page=page).checks
        if not more:
            break
        checks += more
    _print(arguments, lambda: {"checks": msgspec.to_builtins(checks)}, lambda: ctl_text.checks_text(checks))
    return OK


def _explain(arguments: argparse.Namespace) -> int:
    from lvsagent.ctl_explain import explain  # noqa: PLC0415

    return explain(arguments, _agent(arguments))


def _config(arguments: argparse.Namespace) -> int:
    agent = _agent(arguments)
    config = agent.previous_config() if arguments.previous else agent.config()
    if config is None:
        sys.stderr.write("lvsctl: nothing has been changed yet, so there is no lvs.cf before this one\n")
        return FAILED
    if arguments.json:
        json.dump({"etag": config.etag, "exists": config.exists, "text": config.text}, sys.stdout)
        sys.stdout.write("\n")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(config.text.encode("utf-8", "surrogateescape"))
    return OK


def _table(arguments: argparse.Namespace) -> int:
    text = _agent(arguments).table_text(rules=arguments.rules)
    _print(arguments, lambda: {"table": text}, lambda: text)
    return OK


def _plan(arguments: argparse.Namespace) -> int:
    return _put(arguments, dry_run=True)


def _apply(arguments: argparse.Namespace) -> int:
    return _put(arguments, dry_run=False)


def _put(arguments: argparse.Namespace, *, dry_run: bool) -> int:
    import msgspec  # noqa: PLC0415

    from lvsagent import ctl_guard, ctl_text  # noqa: PLC0415

    data = sys.stdin.buffer.read() if arguments.file == "-" else Path(arguments.file).read_bytes()
    agent, text = _agent(arguments), data.decode("utf-8", "surrogateescape")
    etag = arguments.if_match or agent.config().etag
    if dry_run:
        receipt = agent.put_config(text, if_match=etag, dry_run=True)
    else:
        receipt = ctl_guard.accept(arguments, agent, text, if_match=etag, comment=arguments.comment)
    _print(arguments, lambda: msgspec.to_builtins(receipt), lambda: ctl_text.receipt_text(receipt))
    return OK if dry_run or (receipt.applied and not receipt.refusals) else FAILED


def _announce(arguments: argparse.Namespace) -> int:
    _agent(arguments).announce()
    sys.stdout.write("every address is being announced again\n")
    return OK


def _reload(arguments: argparse.Namespace) -> int:
    state = _agent(arguments).state(per_page=1)
    supervisor = next((each.pid for each in state.processes if each.name == "supervisor"), 0)
    if not supervisor:
        raise AgentRefused("unavailable", "the supervisor is not running: there is nobody to tell")
    try:
        os.kill(supervisor, signal.SIGHUP)
    except PermissionError:
        raise AgentRefused("forbidden", "only root, or the user that the agent runs as, may have lvs.cf read again") from None
    sys.stdout.write("lvs.cf is being read again; what came of it: lvsctl events\n")
    return OK
