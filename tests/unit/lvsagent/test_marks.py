"""Which marks lvs.cf asks for, how programs are told, and how they are kept in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.lvscf.mark_ports import BadPortsError, read_ports
from app.lvscf.model import Config, HostDevice, Protocol, VirtualServer
from lvsagent.adapters.mark_rules import iptables_text, nft_text, read_iptables
from lvsagent.core.expansion import expand
from lvsagent.core.marks import MarkRule
from lvsagent.lvsd.marks import LOOK_S, MarkKeeper
from tests.fakes.marks import FakeMarks

WEB = MarkRule("192.0.2.100", Protocol.TCP, 80, 80, 7)
NAMES = MarkRule("2001:db8::100", Protocol.UDP, 53, 60, 8)


# --- what is asked for ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("80", "80/tcp"),
        ("80,443/tcp", "80/tcp 443/tcp"),
        ("20-21,1024-65535/tcp 53/udp 9/sctp", "20-21/tcp 1024-65535/tcp 53/udp 9/sctp"),
        ("  80   80/tcp ", "80/tcp"),
    ],
)
def test_ports_are_read(text: str, words: str) -> None:
    assert " ".join(map(str, read_ports(text, Protocol.TCP))) == words


@pytest.mark.parametrize(
    "text", ["", " ", "0", "65536", "9-8", "80/", "80/icmp", "http", "80,", "80 /tcp", "-1", "1-2-3", "\u0661", "80;reboot"]
)
def test_what_names_no_ports_is_refused(text: str) -> None:
    with pytest.raises(BadPortsError):
        read_ports(text, Protocol.TCP)


def virtual(**fields: object) -> VirtualServer:
    given = {"active": True, "address": HostDevice("192.0.2.100", "eth1:1"), "fwmark": 7, "mark_ports": "80,443", **fields}
    return VirtualServer(name="shop", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "count"),
    [({}, 2), ({"active": False}, 0), ({"fwmark": 0}, 0), ({"address": None}, 0), ({"mark_ports": None}, 0), ({"mark_ports": "x"}, 0)],
)
def test_only_a_served_mark_with_an_address_asks_for_rules(fields: dict[str, object], count: int) -> None:
    assert len(expand(Config(virtual=(virtual(**fields),)), lambda _name: None).marks) == count


# --- how programs are told -----------------------------------------------------------------------------------------------------


def test_nft_replaces_its_own_table_in_one_transaction() -> None:
    assert nft_text([WEB, NAMES]).splitlines() == [
        "table inet piranha_marks",
        "delete table inet piranha_marks",
        "table inet piranha_marks {",
        "  chain prerouting {",
        "    type filter hook prerouting priority mangle; policy accept;",
        "    ip daddr 192.0.2.100 tcp dport 80 meta mark set 7",
        "    ip6 daddr 2001:db8::100 udp dport 53-60 meta mark set 8",
        "  }",
        "}",
    ]
    assert nft_text([]).splitlines() == ["table inet piranha_marks", "delete table inet piranha_marks"]


def test_iptables_changes_nothing_where_nothing_is_asked_for_and_nothing_is_ours() -> None:
    assert iptables_text([], "*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n") == ""


def test_iptables_takes_every_jump_away_with_the_chain() -> None:
    there = ":PIRANHA-MARKS - [0:0]\n-A PREROUTING -j PIRANHA-MARKS\n-A PREROUTING -j PIRANHA-MARKS\n"
    assert iptables_text([], there).splitlines() == [
        "*mangle",
        ":PIRANHA-MARKS - [0:0]",
        "-D PREROUTING -j PIRANHA-MARKS",
        "-D PREROUTING -j PIRANHA-MARKS",
        "-X PIRANHA-MARKS",
        "COMMIT",
    ]


def test_a_rule_in_our_chain_that_is_not_ours_is_seen() -> None:
    ours = (
        "-A PREROUTING -j PIRANHA-MARKS\n-A PIRANHA-MARKS -d 192.0.2.100/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff\n"
    )
    assert read_iptables(ours) == frozenset({WEB})
    assert read_iptables(ours + "-A PIRANHA-MARKS -j ACCEPT\n") is None
    assert read_iptables(ours.replace("0xffffffff", "0xff")) is None


# --- kept in force -------------------------------------------------------------------------------------------------------------


class Kept:
    def __init__(self, folder: Path) -> None:
        self.filter = FakeMarks()
        self.said: list[str] = []
        self.path = folder / "marks"
        self.fresh()

    def fresh(self) -> None:
        """lvsd starts anew."""
        self.keeper = MarkKeeper(self.filter, self.path, lambda _kind, _severity, words: self.said.append(words))


@pytest.fixture
def here(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_who_asks_for_no_marks_never_has_a_program_run(here: Kept) -> None:
    here.filter.broken = "no such program"
    await here.keeper.follow((), 0)
    await here.keeper.look(LOOK_S)
    await here.keeper.withdraw()
    assert (here.keeper.reason, here.said) == ("", [])


async def test_what_is_right_is_not_written_again(here: Kept) -> None:
    await here.keeper.follow((WEB,), 0)
    await here.keeper.follow((WEB,), 1)
    here.fresh()
    await here.keeper.follow((WEB,), 2)
    assert (here.filter.writes, here.filter.rules) == (1, frozenset({WEB}))


async def test_marks_left_by_an_earlier_lvsd_go_when_lvs_cf_no_longer_asks(here: Kept) -> None:
    await here.keeper.follow((WEB,), 0)
    here.fresh()
    await here.keeper.follow((), 1)
    assert (here.filter.rules, here.path.exists()) == (frozenset(), False)


async def test_what_somebody_changes_is_put_right_at_the_next_look_and_said_once(here: Kept) -> None:
    await here.keeper.follow((WEB,), 0)
    here.filter.spoil()
    await here.keeper.look(LOOK_S / 2)
    assert here.said == []
    await here.keeper.look(LOOK_S)
    assert here.filter.rules == frozenset({WEB})
    assert here.said == ["the firewall marks had been changed by somebody else; they are put right"]


async def test_a_filter_that_fails_is_said_once_and_tried_again(here: Kept) -> None:
    here.filter.broken = "nft: exit status 1"
    await here.keeper.follow((WEB,), 0)
    await here.keeper.look(LOOK_S)
    assert here.keeper.reason == "nft: exit status 1"
    assert here.said == ["the firewall marks of mark_ports are not in force: nft: exit status 1"]
    here.filter.broken = ""
    await here.keeper.look(2 * LOOK_S)
    assert (here.keeper.reason, here.filter.rules) == ("", frozenset({WEB}))


async def test_a_planned_stop_takes_them_away(here: Kept) -> None:
    await here.keeper.follow((WEB,), 0)
    await here.keeper.withdraw()
    assert here.filter.rules == frozenset()
