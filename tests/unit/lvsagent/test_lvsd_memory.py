"""What lvsd remembers: events, health, traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.lvscf.model import Protocol
from lvsagent.core.check_spec import CheckSpec, Method
from lvsagent.core.table import Counters, Entry, Family, Server, ServerKey, Service, ServiceKey
from lvsagent.lvsd.event_log import FILE_LINES, KEPT, EventLog
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.traffic import SAMPLES, Traffic
from lvsagent.wire import CheckInfo


class StoppedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1_000_000.0 + self.at


# --- events ----------------------------------------------------------------------------------------------------------------------


def test_events_come_newest_first_and_by_pages(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", StoppedClock())
    for number in range(5):
        log.add("config", "info", f"event {number}")
    newest = log.page(2)
    assert [event.message for event in newest] == ["event 4", "event 3"]
    assert [event.message for event in log.page(2, before=newest[-1].id)] == ["event 2", "event 1"]


def test_events_outlive_the_process_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, StoppedClock()).add("config", "info", "first")
    with path.open("ab") as file:
        file.write(b'{"id": 2, "at"')
    log = EventLog(path, StoppedClock())
    log.add("config", "info", "second")
    again = EventLog(path, StoppedClock())
    assert [event.message for event in again.page(10)] == ["second", "first"]
    assert [event.id for event in again.page(10)] == [2, 1]


def test_the_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, StoppedClock())
    for number in range(FILE_LINES + 10):
        log.add("config", "info", f"event {number}")
    assert path.read_bytes().count(b"\n") < KEPT + 20
    assert EventLog(path, StoppedClock()).page(1)[0].message == f"event {FILE_LINES + 9}"


def test_a_file_that_cannot_be_written_costs_no_event(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    log = EventLog(path, StoppedClock())
    log.add("config", "info", "still here")
    assert [event.message for event in log.page(5)] == ["still here"]
    assert "cannot be" in log.problem


def test_bytes_that_are_not_text_do_not_stop_the_log(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", StoppedClock())
    assert log.add("server", "info", "caf\udce9 is up", subject="caf\udce9").message == "caf\\xe9 is up"


# --- health ----------------------------------------------------------------------------------------------------------------------

SPEC = CheckSpec("http/one", "10.11.12.21", 80, "tcp", Method.CONNECT)
MOVED = CheckSpec("http/one", "10.11.12.22", 80, "tcp", Method.CONNECT)


def info(spec: CheckSpec, state: str) -> CheckInfo:
    return CheckInfo(key=spec.key, target=spec.target, what="connects", state=state, reason="", since=12.0)


def book(path: Path, *specs: CheckSpec) -> HealthBook:
    made = HealthBook(path / "health.json")
    made.configure(specs)
    return made


@pytest.mark.parametrize(("state", "side"), [("up", True), ("falling", True), ("down", False), ("rising", False)])
def test_states_on_their_way_count_as_the_side_they_come_from(tmp_path: Path, state: str, side: bool) -> None:
    one = book(tmp_path, SPEC)
    one.report([info(SPEC, state)])
    assert one.sides == {"http/one": side}


def test_only_a_change_of_sides_is_a_change(tmp_path: Path) -> None:
    one = book(tmp_path, SPEC)
    assert [(change.up, change.first) for change in one.report([info(SPEC, "up")])] == [(True, True)]
    assert one.report([info(SPEC, "falling")]) == []
    assert [(change.up, change.first) for change in one.report([info(SPEC, "down")])] == [(False, False)]
    assert one.report([info(SPEC, "unknown")]) == []  # a fresh nanny that knows nothing takes nothing out
    assert one.sides == {"http/one": False}


def test_a_server_that_moved_is_not_known(tmp_path: Path) -> None:
    one = book(tmp_path, SPEC)
    one.report([info(SPEC, "up")])
    one.configure([MOVED])
    assert one.sides == {}
    assert one.report([info(SPEC, "up")]) == []  # what was said of the old address
    assert one.sides == {}


def test_another_check_of_the_same_server_keeps_what_is_known(tmp_path: Path) -> None:
    one = book(tmp_path, SPEC)
    one.report([info(SPEC, "up")])
    one.configure([CheckSpec("http/one", "10.11.12.21", 80, "tcp", Method.SEND_EXPECT, expect=b"220")])
    assert one.known_state("http/one") == "up"


def test_health_outlives_the_process_for_the_same_address_alone(tmp_path: Path) -> None:
    one = book(tmp_path, SPEC)
    one.report([info(SPEC, "down")])
    one.save()
    assert book(tmp_path, SPEC).sides == {"http/one": False}
    assert book(tmp_path, MOVED).sides == {}
    again = book(tmp_path, SPEC).info("http/one")
    assert again is not None
    assert (again.state, again.since) == ("down", 12.0)


def test_a_file_that_makes_no_sense_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "health.json").write_text("{]")
    assert book(tmp_path, SPEC).sides == {}


# --- traffic ---------------------------------------------------------------------------------------------------------------------

KEY = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
ONE = ServerKey("10.11.12.21", 80)


def table(connections: int, active: int = 0) -> dict[ServiceKey, Entry]:
    counters = Counters(connections=connections, packets_in=2 * connections, bytes_in=100 * connections, active=active)
    return {KEY: Entry(Service("rr"), {ONE: Server()}, counters, {ONE: counters})}


def test_rates_are_over_the_time_between_two_samples() -> None:
    traffic = Traffic()
    traffic.sample(table(100), 0.0)
    assert traffic.service(KEY).connections_per_s == 0.0
    traffic.sample(table(150, active=7), 2.0)
    of_service, of_server = traffic.service(KEY), traffic.server(KEY, ONE)
    assert (of_service.connections_per_s, of_service.packets_per_s, of_service.bytes_per_s) == (25.0, 50.0, 2500.0)
    assert (of_server.connections_per_s, of_service.active, traffic.open_connections(KEY)) == (25.0, 7, 7)
    assert traffic.total().connections == 150


def test_counters_that_start_again_are_not_negative_traffic() -> None:
    traffic = Traffic()
    traffic.sample(table(1000), 0.0)
    traffic.sample(table(10), 2.0)
    assert traffic.service(KEY).connections_per_s == 5.0


def test_the_history_is_two_minutes_and_goes_with_its_row() -> None:
    traffic = Traffic()
    for number in range(200):
        traffic.sample(table(10 * number), 2.0 * number)
    assert traffic.service(KEY).history == [5.0] * SAMPLES
    traffic.sample({}, 400.0)
    assert traffic.service(KEY).history == []


def test_a_line_feed_in_a_comment_is_no_second_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", StoppedClock())
    assert log.add("config", "info", "accepted\nlvsd: all is well\x1b[2J", actor="a\rb").message == "accepted lvsd: all is well [2J"
