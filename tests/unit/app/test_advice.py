"""What real servers need, and the rows of the tables."""

from __future__ import annotations

from dataclasses import replace

from app.advice import SHOWN, real_server_advice
from app.forms.choosing import Chosen, choice, chosen
from app.listing import find, real_rows, virtual_rows
from app.lvscf.model import Config, Forwarding, GlobalSettings, HostDevice, RealServer, VirtualServer
from app.refs import Ref, refs


def config(network: Forwarding, *addresses: str) -> Config:
    servers = tuple(VirtualServer(name=f"v{n}", address=HostDevice(one, "eth1:1")) for n, one in enumerate(addresses))
    return Config(globals=GlobalSettings(network=network), virtual=servers)


def test_each_virtual_address_is_named_once() -> None:
    found = real_server_advice(config(Forwarding.DIRECT, "192.0.2.1", "192.0.2.1", "0.0.0.0", "192.0.2.2"))
    assert [line for line in found.commands if "address add" in line] == [
        "ip address add 192.0.2.1/32 dev lo",
        "ip address add 192.0.2.2/32 dev lo",
    ]


def test_ipv6_gets_its_own_commands() -> None:
    only = real_server_advice(config(Forwarding.DIRECT, "2001:db8::1")).commands
    assert only == ("ip -6 address add 2001:db8::1/128 dev lo nodad preferred_lft 0",), "IPv6 knows no ARP to silence"
    tunnel = real_server_advice(config(Forwarding.TUNNEL, "2001:db8::1")).commands
    assert "modprobe ip6_tunnel" in tunnel
    assert "modprobe ipip" not in tunnel


def test_long_lists_are_cut_and_said_to_be() -> None:
    found = real_server_advice(config(Forwarding.DIRECT, *(f"192.0.2.{n}" for n in range(1, 101))))
    assert found.hidden == 100 - SHOWN


def test_nat_without_a_router_asks_for_one() -> None:
    found = real_server_advice(config(Forwarding.NAT, "192.0.2.1"))
    assert "Give the NAT router an address in GLOBAL SETTINGS" in found.words
    assert "NAT-ROUTER-IP" in found.commands[0]


def test_servers_with_a_forwarding_of_their_own_are_advised_for_it() -> None:
    servers = (RealServer(name="a", forward=Forwarding.TUNNEL), RealServer(name="b"))
    mixed = VirtualServer(name="v", address=HostDevice("192.0.2.1", "eth1:1"), servers=servers)
    found = real_server_advice(Config(globals=GlobalSettings(network=Forwarding.DIRECT), virtual=(mixed,)))
    assert found.title.startswith("Direct Routing")
    assert "Some have a forwarding of their own" in found.words
    alone = real_server_advice(Config(virtual=(replace(mixed, servers=servers[:1]),)))
    assert alone.title.startswith("Tunneling")
    assert "DOCTOR, beside a virtual server's REAL SERVER" in alone.words
    assert "DOCTOR, beside" in real_server_advice(config(Forwarding.NAT, "192.0.2.1")).words


def test_a_choice_comes_back_with_what_was_seen() -> None:
    for ref in (Ref("a b"), Ref("", 1), Ref("x", 3)):
        assert chosen(choice(ref, True)) == Chosen(ref, True)
    for nothing in ("", "1", "1 ", "x http", "http"):
        assert chosen(nothing) is None


def test_rows_without_a_snapshot_say_what_lvs_cf_says() -> None:
    one = VirtualServer(name="a", active=True, servers=(RealServer(name="r", active=False),))
    row = virtual_rows([(Ref("a"), one)], ())[0]
    assert (row.status.word, row.up, row.total, row.connections) == ("unknown", None, 1, None)
    assert virtual_rows([(Ref("a"), replace(one, active=False))], ())[0].status.word == "inactive"
    assert real_rows(one.servers, ())[0].status.word == "inactive"


def test_a_search_looks_at_names_and_addresses_of_both_kinds() -> None:
    made = Config(
        virtual=(
            VirtualServer(name="Web", address=HostDevice("192.0.2.1", "eth1:1")),
            VirtualServer(name="b", servers=(RealServer(name="r", address="10.9.9.9"),)),
        )
    )
    assert [ref.name for ref, _ in find(made, "web", 1).servers] == ["Web"]
    assert [ref.name for ref, _ in find(made, "192.0.2", 1).servers] == ["Web"]
    assert [ref.name for ref, _ in find(made, "9.9.9", 1).servers] == ["b"]
    assert [ref for ref, _ in find(made, "", 7).servers] == refs(made.virtual)
