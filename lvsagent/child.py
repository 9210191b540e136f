"""One of lvsd, pulse and nanny from exec to its own loop: settings, imports, title, privileges, the parent's death.

Owns the order of these steps and which process keeps what.  Everything is imported before privileges go, because the interpreter may
lie where another user cannot read.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from lvsagent import channel
from lvsagent.adapters import lifeline, process, realtime
from lvsagent.core.spread import NANNY, kind_of
from lvsagent.ports import AdapterError
from lvsagent.settings import AgentSettings, SettingsError, load_settings

PREDECESSOR_LIMIT_S = 15.0
_PAUSE_S = 0.02
_LATE_IMPORTS = {
    ("lvsd", "kernel"): ("lvsagent.adapters.ipvs_kernel",),
    ("lvsd", "userspace"): ("lvsagent.adapters.ipvs_userspace",),
    ("pulse", "kernel"): tuple(f"lvsagent.adapters.{name}" for name in ("links", "garp", "link_events", "sync_daemon", "virtual_mac")),
}
"""What a process would import only when it is needed, which is too late."""

log = logging.getLogger(__name__)


def run_child(name: str, config: Path, supervisor: int, nannies: int = 0) -> int:
    """Be ``name`` to the end; ``supervisor`` is the parent's process id (0: started by hand).  Returns the exit status.

    ``nannies``: how many there are, whatever agent.toml says by now (0: as it says).
    """
    line = lifeline.grasp(os.environ)
    start_logging(name)
    try:
        settings = load_settings(config)
        if nannies:
            settings = replace(settings, nannies=nannies)
        main = _main_of(name, settings)
        process.set_title(name)
        _wait_for_predecessor(settings.runtime_dir / f"{name}.lock")
        if kind_of(name) == NANNY:
            channel.prepare(settings.nanny_socket(name))
        _drop_privileges(name, settings)
        if supervisor and not process.leave_with_parent(supervisor, signal.SIGUSR1):
            return 0
        return main(settings)
    except (SettingsError, AdapterError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 -- in words; where it was raised says no more
        line.last_words(str(error))
    except Exception as error:
        log.exception("ends for a reason nobody thought of")
        line.last_words(f"{type(error).__name__}: {error}")
    return 1


def start_logging(name: str) -> None:
    """To standard error, a line each; under a service manager that is the journal."""
    logging.basicConfig(format=f"{name}: %(levelname)s: %(message)s", level=logging.INFO)


def _main_of(name: str, settings: AgentSettings) -> Callable[[AgentSettings], int]:
    module = importlib.import_module(f"lvsagent.{kind_of(name)}")
    for late in ("encodings.idna", *_LATE_IMPORTS.get((name, settings.dataplane), ())):
        importlib.import_module(late)
    main: Callable[[AgentSettings], int] = partial(module.main, name=name) if kind_of(name) == NANNY else module.main
    return main


def _wait_for_predecessor(lock: Path) -> None:
    """Two processes of one name never work at the same time, even when a killed supervisor's child is still leaving."""
    deadline = time.monotonic() + PREDECESSOR_LIMIT_S
    while process.take_lock(lock) is None:
        if time.monotonic() > deadline:
            raise AdapterError(f"{lock} is held by an earlier process that does not end")
        time.sleep(_PAUSE_S)


def _drop_privileges(name: str, settings: AgentSettings) -> None:
    if name != "pulse":
        realtime.forgo()
    if not process.is_root():
        return
    if name == "lvsd":
        if settings.dataplane == "kernel":
            from lvsagent.adapters import doctor_room  # noqa: PLC0415 -- lvsd's alone

            doctor_room.prepare(process.find_user(settings.check_user))
        raw = {process.CAP_NET_RAW} if settings.mark_rules.startswith("iptables") else set()
        process.keep_only({process.CAP_NET_ADMIN, *raw}, groups=[process.find_group(settings.socket_group)])
    elif name == "pulse":
        realtime.permit()
        process.keep_only({process.CAP_NET_ADMIN, process.CAP_NET_RAW, process.CAP_NET_BIND_SERVICE})
    else:
        process.become(process.find_user(settings.check_user))
