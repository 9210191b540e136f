"""Words, numbers and colours: what a person reads for what the agent says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import presentation as words
from app.services import Snapshot
from lvsagent.wire import CountersInfo, VirtualServerState
from tests.fakes.agent import NOW, FakeAgent


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 ms"),
        (0.0031, "3.1 ms"),
        (0.14, "140 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (1.84, "1.8 s"),
        (2.0, "2 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (17_280, "4 h 48 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (10**9, "11574 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_durations_have_the_two_units_that_matter(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@given(st.floats(min_value=0, max_value=1e10))
def test_every_duration_can_be_said(seconds: float) -> None:
    said = words.duration(seconds)
    assert said
    assert "60 s" not in said
    assert "60 min" not in said
    assert "24 h" not in said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1536, "1.5 KiB"),
        (10_240, "10 KiB"),
        (40 << 20, "40 MiB"),
        (3 << 40, "3.0 TiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.01, "<0.1"), (0.5, "0.5"), (3.0, "3"), (9.96, "10"), (637.4, "637"), (12345.6, "12,346")]
)
def test_rates(value: float, said: str) -> None:
    assert words.rate(value) == said


def test_shares_and_counts() -> None:
    assert (words.percent(0.001), words.percent(0.25), words.percent(1)) == ("0.1 %", "25 %", "100 %")
    assert words.plural(1, "check") == "1 check"
    assert words.plural(0, "check") == "no checks"
    assert words.plural(1200, "entry", "entries") == "1,200 entries"


def test_the_date_stands_there_when_it_is_not_today() -> None:
    assert len(words.moment(NOW, NOW)) == len("14:02:31")
    assert len(words.moment(NOW - 3 * 86_400, NOW)) == len("2026-01-01 14:02:31")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("up", "up"),
        ("down", "down"),
        ("failed", "down"),
        ("rising", "warn"),
        ("inactive", "idle"),
        ("unknown", "idle"),
        ("something new", "idle"),
    ],
)
def test_every_state_has_a_word_and_a_kind(state: str, kind: str) -> None:
    assert words.badge(state) == words.Badge(state, kind)


def virtual(**changes: object) -> VirtualServerState:
    values: dict[str, object] = {
        "name": "http",
        "address": "192.0.2.100",
        "port": 80,
        "protocol": "tcp",
        "fwmark": 0,
        "scheduler": "rr",
        "device": "eth1:1",
        "netmask": "255.255.255.0",
        "forwarding": "nat",
        "persistent_s": 0,
        "state": "up",
        "up": 3,
        "enabled": 3,
        "total": 4,
    }
    return VirtualServerState(**{**values, **changes})  # type: ignore[arg-type]  # the wire checks them


def test_a_virtual_server_says_how_many_are_up() -> None:
    assert words.virtual_badge(virtual()) == words.Badge("3 of 3 up", "up")
    assert words.virtual_badge(virtual(up=2)).kind == "warn"
    assert words.virtual_badge(virtual(state="down", up=0)).title == "No real server is up."
    assert words.virtual_badge(virtual(state="down", up=0, sorry=True)).word == "down, sorry server answers"
    assert words.virtual_badge(virtual(state="failed", reason="module missing")).title == "module missing"


def test_addresses_as_the_field_writes_them() -> None:
    assert words.service_address(virtual()) == "192.0.2.100:80 tcp"
    assert words.service_address(virtual(address="2001:db8::1")) == "[2001:db8::1]:80 tcp"
    assert words.service_address(virtual(fwmark=80)) == "firewall mark 80"


# --- sparklines ---


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (one.split() for one in path.removeprefix("M").split("L"))]


@given(st.lists(st.floats(min_value=0, max_value=1e9), max_size=200))
def test_a_sparkline_stays_in_its_box(history: list[float]) -> None:
    path = words.spark_path(history)
    if len(history) < 2:
        assert path == ""
        return
    found = points(path)
    assert len(found) <= 26
    assert found[0][0] == 0
    assert found[-1][0] == 104
    assert all(0 <= y <= 22 for _, y in found)


def test_thinning_keeps_a_peak() -> None:
    history = [0.0] * 60
    history[31] = 100.0
    assert min(y for _, y in points(words.spark_path(history))) == 2


def test_real_servers_are_drawn_to_the_scale_of_their_virtual_server() -> None:
    assert min(y for _, y in points(words.spark_path([1.0, 1.0], 10.0))) > 15


def test_a_sparkline_has_words() -> None:
    assert words.spark_words(CountersInfo()) == "no history yet"
    assert words.spark_words(CountersInfo(connections_per_s=2, history=[1.0, 7.0])).endswith("now 2, highest 7")


# --- the header ---


def test_the_header_of_an_agent_never_heard() -> None:
    header = words.header(Snapshot(None, "Nobody listens."), NOW)
    assert (header.known, header.down, header.role.word) == (False, "Nobody listens.", "not known")


def test_the_header_while_the_agent_is_silent_claims_nothing() -> None:
    header = words.header(Snapshot(FakeAgent().state(), "Nobody listens.", 75), NOW)
    assert (header.role, header.age) == (words.Badge("was active", "idle", "no backup is configured"), "1 min 15 s")
    assert header.step.word == "was in step"


def test_the_header_says_when_the_data_plane_is_behind() -> None:
    state = FakeAgent().state()
    behind = state.config.__class__(
        **{**{name: getattr(state.config, name) for name in state.config.__struct_fields__}, "in_step": False, "applied_serial": 6}
    )
    values = {name: getattr(state, name) for name in state.__struct_fields__}
    header = words.header(Snapshot(state.__class__(**{**values, "config": behind})), NOW)
    assert header.serial == "serial 7, applied 6"
    assert header.step == words.Badge("not in step", "warn")
