"""pulse's ports, in one place."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from lvsagent.adapters.commands import CommandResult
from lvsagent.adapters.heartbeat_key import KeyFile
from lvsagent.ports import Announcer, Clock, LinkEvents, Links, SyncDaemon, VirtualMac
from lvsagent.pulse.beats import OpenSocket
from lvsagent.pulse.record import MaintenanceMark, RecordFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """``run_command`` and ``forwarding_problem`` are those of the adapters; ``boot_id`` is 16 fresh random bytes in hexadecimal.

    ``attended``: whether lvsd is there; ``tidy``: collect garbage now.
    """

    links: Links
    announcer: Announcer
    sync: SyncDaemon
    link_events: LinkEvents
    virtual_mac: VirtualMac
    clock: Clock
    record: RecordFile
    maintenance: MaintenanceMark
    key_file: KeyFile
    open_socket: OpenSocket
    boot_id: str
    run_command: Callable[[Sequence[str], float], Coroutine[None, None, CommandResult]]
    forwarding_problem: Callable[[str], str]
    root_commands: tuple[str, ...] = ()
    version: str = ""
    name: str = ""
    attended: Callable[[], bool] = lambda: True
    tidy: Callable[[], None] = lambda: None
