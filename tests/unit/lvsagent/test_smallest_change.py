"""From one configuration to another, whatever was not touched gets no message: connections there cannot notice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.model import (
    Config,
    Forwarding,
    GlobalSettings,
    HostDevice,
    PersistenceEngine,
    Protocol,
    RealServer,
    Scheduler,
    VirtualServer,
)
from lvsagent.core.desired import decide_all
from lvsagent.core.expansion import expand
from lvsagent.core.plan import applied, plan, service_of
from lvsagent.core.pools import Expansion
from lvsagent.core.table import AddServer, DeleteServer, Operation, ServerKey, SetServer

SERVER: dict[str, st.SearchStrategy[Any]] = {
    "active": st.booleans(),
    "weight": st.integers(0, 3),
    "port": st.sampled_from([80, 8080]),
    "forward": st.sampled_from([None, *Forwarding]),
    "upper_threshold": st.integers(0, 9),
    "lower_threshold": st.integers(0, 9),
}
VIRTUAL: dict[str, st.SearchStrategy[Any]] = {
    "active": st.booleans(),
    "port": st.sampled_from([80, 443]),
    "fwmark": st.sampled_from([0, 0, 7]),
    "protocol": st.sampled_from(Protocol),
    "scheduler": st.sampled_from(Scheduler),
    "scheduler_flags": st.sampled_from([None, "sh-port", "flag-1,flag-2"]),
    "persistent": st.sampled_from([0, 60]),
    "pe": st.sampled_from([None, PersistenceEngine.SIP]),
    "one_packet": st.booleans(),
    "quiesce_server": st.booleans(),
    "quorum": st.integers(0, 3),
    "hysteresis": st.integers(0, 2),
    "sorry_server": st.sampled_from([None, "10.11.12.99"]),
    "sorry_port": st.sampled_from([0, 8080]),
    "mark_ports": st.sampled_from([None, "80,443"]),
}
"""Every directive about traffic, with values that matter."""


@st.composite
def servers(draw: st.DrawFn) -> tuple[RealServer, ...]:
    made = []
    for number in range(draw(st.integers(0, 3))):
        fields = draw(st.fixed_dictionaries(SERVER))
        made.append(RealServer(name=f"s{number}", address=f"10.11.12.2{number}", effective_port=fields["port"], **fields))
    return tuple(made)


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    virtuals = []
    for number in range(draw(st.integers(1, 3))):
        fields = draw(st.fixed_dictionaries(VIRTUAL))
        address = HostDevice(f"192.0.2.10{number}", "eth1:1")
        virtuals.append(VirtualServer(name=f"v{number}", address=address, servers=draw(servers()), **fields))
    return Config(globals=GlobalSettings(network=draw(st.sampled_from(Forwarding))), virtual=tuple(virtuals))


@st.composite
def edits(draw: st.DrawFn) -> tuple[Config, Config, int]:
    """Two configurations that differ in one virtual server, and which."""
    before = draw(configurations())
    place = draw(st.integers(0, len(before.virtual) - 1))
    virtual = before.virtual[place]
    name = draw(st.sampled_from([*VIRTUAL, "servers"]))
    change: Any = {name: draw(servers() if name == "servers" else VIRTUAL[name])}
    virtuals = list(before.virtual)
    virtuals[place] = replace(virtual, **change)
    return before, replace(before, virtual=tuple(virtuals)), place


health = st.dictionaries(st.sampled_from([f"v{v}/s{s}" for v in range(3) for s in range(3)]), st.booleans())


def expanded(config: Config) -> Expansion:
    return expand(config, lambda _name: None)


def change(before: Config, after: Config, known: dict[str, bool]) -> list[Operation]:
    """What is done to a table that has settled under ``before``."""
    old, new = expanded(before), expanded(after)
    have = decide_all(old, known, decide_all(old, known, {}))
    operations = plan(have, decide_all(new, known, have), old.named | new.named)
    settled = applied(have, operations)
    assert plan(settled, decide_all(new, known, settled), old.named | new.named) == []
    return operations


@given(edits(), health)
def test_a_change_of_one_virtual_server_sends_no_message_about_another(edit: tuple[Config, Config, int], known: dict[str, bool]) -> None:
    before, after, place = edit
    touched = {pool.key for side in (before, after) for pool in expanded(side).pools.values() if pool.place == place}
    # Two that ask for one firewall mark are in each other's way: the first in the file has it.
    sharing = {key for key in expanded(before).named | expanded(after).named if key.fwmark}
    for operation in change(before, after, known):
        assert service_of(operation) in touched | sharing


@st.composite
def server_edits(draw: st.DrawFn) -> tuple[Config, Config, int]:
    """Two configurations that differ in one setting of one real server of the first virtual server, and which server."""
    before = draw(configurations().filter(lambda config: len(config.virtual[0].servers) > 0))
    first = replace(before.virtual[0], sorry_server=None)
    place = draw(st.integers(0, len(first.servers) - 1))
    name = draw(st.sampled_from(sorted(SERVER)))
    edited = replace(first.servers[place], **{name: draw(SERVER[name])})
    edited = replace(edited, effective_port=edited.port or 80)
    changed = replace(first, servers=(*first.servers[:place], edited, *first.servers[place + 1 :]))
    rest = before.virtual[1:]
    return replace(before, virtual=(first, *rest)), replace(before, virtual=(changed, *rest)), place


@given(server_edits(), health)
def test_a_change_of_one_real_server_sends_messages_about_it_alone(edit: tuple[Config, Config, int], known: dict[str, bool]) -> None:
    """Without a sorry server: with one, fewer servers than the quorum are a change for all."""
    before, after, place = edit
    address = before.virtual[0].servers[place].address
    for operation in change(before, after, known):
        assert isinstance(operation, AddServer | SetServer | DeleteServer)
        server: ServerKey = operation.key
        assert server.address == address


@given(configurations(), configurations())
def test_marks_are_the_same_rules_in_any_order_of_the_file(one: Config, other: Config) -> None:
    """So that an untouched set of marks is never written again."""
    both = replace(one, virtual=one.virtual + tuple(replace(virtual, name=f"o{virtual.name}") for virtual in other.virtual))
    marks = expanded(both).marks
    assert list(marks) == sorted(set(marks))
