"""The whole snapshot of an agent, and what happened.  Owns these shapes; those of one subject alone are in its module."""

from __future__ import annotations

from lvsagent.wire.base import Wire
from lvsagent.wire.directors import PeerInfo, RoleInfo
from lvsagent.wire.guard import GuardInfo
from lvsagent.wire.sync import SyncInfo
from lvsagent.wire.traffic import CountersInfo, ForeignService, VirtualServerState


class ProcessInfo(Wire, frozen=True):
    """One of supervisor, lvsd, pulse, nanny.  ``state``: running, starting, stopped.  ``cpu`` is a share of one core (0 to 1)."""

    name: str
    state: str
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    cpu: float = 0.0
    memory_bytes: int = 0
    reason: str = ""


class DataPlaneState(Wire, frozen=True):
    """``state``: ready or unavailable (``reason`` says what is missing)."""

    kind: str
    state: str
    version: str = ""
    reason: str = ""
    connection_table_size: int = 0
    notes: list[str] = []
    tcp_timeout_s: int = 0
    tcpfin_timeout_s: int = 0
    udp_timeout_s: int = 0


class ConfigState(Wire, frozen=True):
    """lvs.cf as this agent sees it.  ``in_step``: what the file says is what the data plane has."""

    path: str
    etag: str
    serial: int
    exists: bool
    applied_etag: str
    applied_serial: int
    in_step: bool
    reason: str = ""
    errors: int = 0
    warnings: int = 0
    network: str = ""
    service: str = ""


class Alert(Wire, frozen=True):
    """A problem in words for the top of the page.

    ``severity``: error or warning; ``subject``: the virtual server's name, if it is about one.
    """

    severity: str
    code: str
    message: str
    subject: str = ""


class State(Wire, frozen=True):
    """The whole snapshot.  ``host`` is the host's name, ``at`` when it was taken, ``decided`` how many decisions of operators hold."""

    at: float
    host: str
    version: str
    config: ConfigState
    role: RoleInfo
    peer: PeerInfo
    data_plane: DataPlaneState
    processes: list[ProcessInfo]
    virtual_servers: list[VirtualServerState]
    matching: int
    """How many virtual servers match the request's filter; ``virtual_servers`` holds one page of them."""
    virtual_total: int
    real_total: int
    counters: CountersInfo
    alerts: list[Alert]
    foreign: list[ForeignService] = []
    sync: SyncInfo = SyncInfo()
    guard: GuardInfo | None = None
    decided: int = 0


class Event(Wire, frozen=True):
    """Something that happened.  ``kind``: server, role, config, repair, process, address, problem.  ``severity``: info, warning, error."""

    id: int
    at: float
    kind: str
    severity: str
    message: str
    subject: str = ""
    actor: str = ""


class Events(Wire, frozen=True):
    """A page of events, newest first."""

    events: list[Event]
