"""Virtual servers that lvs.cf does not name, as lvs.cf would say them."""

from __future__ import annotations

from dataclasses import replace

from app.lvscf import load, write
from app.lvscf.model import Config, Forwarding, Protocol
from lvsagent.core.expansion import expand
from lvsagent.core.foreign import as_blocks
from lvsagent.core.table import Entry, Family, Server, ServerKey, Service, ServiceKey
from tests.integration.lvsd_lab import TUTORIAL

MAIL = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.101", 25)
MARK = ServiceKey(Family.IPV4, fwmark=7)
FOUND = [
    (MAIL, Entry(Service("wrr", 300, 24), {ServerKey("127.0.0.31", 25): Server(5, Forwarding.DIRECT, 90, 40)})),
    (MARK, Entry(Service("sh"), {ServerKey("127.0.0.32", 0): Server()})),
]


def test_adopted_they_lead_to_the_table_that_is_there() -> None:
    loaded = load(TUTORIAL)
    blocks = as_blocks(FOUND[:1], loaded.config)
    text = write(loaded.document, replace(loaded.config, virtual=(*loaded.config.virtual, *blocks)))
    again = load(text)
    assert again.ok, again.diagnostics
    pool = expand(again.config, lambda _name: None).pools[MAIL]
    assert pool.service == FOUND[0][1].service
    assert {one.key: one.server for one in pool.members} == dict(FOUND[0][1].servers)
    assert again.config.virtual[-1].address is not None
    assert again.config.virtual[-1].address.device == "lo:2"


def test_a_firewall_mark_needs_no_address_and_no_name_is_taken_twice() -> None:
    config = load(TUTORIAL).config
    (first,) = as_blocks(FOUND[1:], config)
    assert (first.name, first.address, first.fwmark) == ("fwmark-7", None, 7)
    (second,) = as_blocks(FOUND[1:], Config(virtual=(first,)))
    assert second.name == "fwmark-7-2"
