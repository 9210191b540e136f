"""A configuration as the data plane sees it: pools of real servers, their checks, their addresses, and what cannot be done as written.

Owns these shapes alone: ``expansion`` makes them from lvs.cf, ``desired`` decides over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lvsagent.core.addresses import Address
from lvsagent.core.check_spec import CheckSpec
from lvsagent.core.load_plan import LoadSpec
from lvsagent.core.marks import MarkRule
from lvsagent.core.quorum import ONE, Quorum
from lvsagent.core.table import Server, ServerKey, Service, ServiceKey, Timeouts

NO_TIMEOUTS = Timeouts()
"""lvs.cf leaves them to the kernel."""

FOS_KEY = "failover service/"
"""Begins the key of the check of a failover service."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in lvs.cf that cannot be done as written.  ``virtual`` is a place in ``config.virtual`` (-1: none of them)."""

    severity: str
    code: str
    message: str
    virtual: int = -1


@dataclass(frozen=True, slots=True)
class Member:
    """An enabled real server.  ``place`` is its index in the virtual server; not ``checked``: nothing can be, it counts as up.

    ``load`` is the key of its host's load (``""``: load_monitor asks for none).
    """

    name: str
    place: int
    check: str
    key: ServerKey
    server: Server
    checked: bool
    load: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """A virtual server that is to be served.  ``complete`` is false while the name of one of its servers cannot be resolved."""

    name: str
    place: int
    key: ServiceKey
    service: Service
    members: tuple[Member, ...]
    quiesce: bool
    sorry: tuple[ServerKey, Server] | None
    complete: bool
    quorum: Quorum = ONE


@dataclass(frozen=True, slots=True)
class Expansion:
    """A configuration, read for the data plane, nanny and pulse.

    ``named`` is every service that lvs.cf names, active or not: these are ours.  ``failed`` tells, by place in ``config.virtual``, why an
    active virtual server is not served.  ``resolved`` is false while any virtual server's own name cannot be resolved.
    """

    pools: Mapping[ServiceKey, Pool] = field(default_factory=dict)
    checks: tuple[CheckSpec, ...] = ()
    check_pool: Mapping[str, ServiceKey] = field(default_factory=dict)
    named: frozenset[ServiceKey] = frozenset()
    failed: Mapping[int, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    forwarding_needed: tuple[str, ...] = ()
    timeouts: Timeouts = NO_TIMEOUTS
    problems: tuple[Problem, ...] = ()
    resolved: bool = True
    marks: tuple[MarkRule, ...] = ()
    loads: tuple[LoadSpec, ...] = ()
