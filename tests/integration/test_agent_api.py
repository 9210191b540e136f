"""lvsd over its real socket: what callers get, what it does to lvs.cf and the table, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.lvscf.model import Protocol
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import SystemFiles, etag_of
from lvsagent.client import AgentClient, AgentDown, AgentRefused, InvalidConfig, StaleConfig
from lvsagent.core.table import (
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    Family,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetTimeouts,
    Timeouts,
)
from lvsagent.lvsd.names import Names
from lvsagent.wire import Problem, TrialRequest
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import NUMBERS, TUTORIAL, Lab, running

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 80)
FOREIGN = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.200", 25)
ALL_IN = {"127.0.0.100:80 tcp": {str(number): 1 for number in NUMBERS}}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(tmp_path) as one:
        await one.report("up")
        one.plane.batches.clear()
        yield one


class Hours(SystemClock):
    """An hour goes by between one look and the next."""

    def __init__(self) -> None:
        self._seen = 0.0

    def now(self) -> float:
        self._seen += 3600
        return self._seen


async def kinds(lab: Lab, kind: str) -> list[str]:
    return [event.message for event in (await lab.ask(lab.client.events, limit=50)).events if event.kind == kind]


async def put(lab: Lab, text: str, **named: Any) -> Any:
    return await lab.ask(lab.client.put_config, text, if_match=etag_of(lab.lvs_cf.read_bytes()), **named)


async def previous(lab: Lab) -> str | None:
    found = await lab.ask(lab.client.previous_config)
    return found.text if found else None


# --- lvs.cf ----------------------------------------------------------------------------------------------------------------------


async def test_what_is_put_is_what_is_on_the_disk_in_the_table_and_what_is_got(lab: Lab) -> None:
    text = TUTORIAL.replace("weight = 1", "weight = 3", 1).replace("serial_no = 1", "serial_no = 2")
    receipt = await put(lab, text, comment="number1 is new", actor="piranha")
    assert (receipt.written, receipt.applied, receipt.serial, receipt.refusals) == (True, True, 2, [])
    assert lab.text() == text
    assert lab.plane.operations == [SetServer(HTTP, NUMBERS[0], Server(3))]
    got = await lab.ask(lab.client.config)
    assert (got.text, got.etag) == (text, receipt.etag)
    (event, *_) = (await lab.ask(lab.client.events, limit=1)).events
    assert (event.kind, event.actor) == ("config", "piranha")
    assert event.message.startswith("lvs.cf accepted, serial 2: ")
    assert "weight 1 → 3" in event.message
    assert "number1 is new" in event.message


async def test_a_comment_that_says_what_changed_is_not_told_twice(lab: Lab) -> None:
    text = TUTORIAL.replace("weight = 1", "weight = 3", 1).replace("serial_no = 1", "serial_no = 2")
    await put(lab, text, comment="real server number1 of http: weight 1 → 3")
    (event, *_) = (await lab.ask(lab.client.events, limit=1)).events
    assert event.message.count("weight 1 → 3") == 1


async def test_bytes_that_are_not_utf_8_line_ends_and_a_missing_last_one_come_back(lab: Lab) -> None:
    text = TUTORIAL.replace("# the tutorial's cluster", "# caf\udce9 \udcff").replace("\n", "\r\n").rstrip()
    await put(lab, text)
    assert lab.lvs_cf.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert (await lab.ask(lab.client.config)).text == text
    assert await lab.ask(AgentClient(lab.settings.agent_socket).config) == await lab.ask(lab.client.config)


async def test_an_unchanged_file_crosses_the_socket_once(lab: Lab) -> None:
    first = await lab.ask(lab.client.config)
    status, headers, body = await raw(
        lab, f'GET /v1/config HTTP/1.1\r\nHost: a\r\nIf-None-Match: "{first.etag}"\r\nConnection: close\r\n\r\n'
    )
    assert (status, body) == (304, b"")
    assert first.etag in headers
    assert await lab.ask(lab.client.config) is first


async def test_a_dry_run_writes_nothing_and_tells_the_plan(lab: Lab) -> None:
    lab.plane.set_counters(HTTP, NUMBERS[1], Counters(active=12))
    text = TUTORIAL.replace("port = 8080", "port = 8081", 2).replace("weight = 1", "weight = 2")
    text = text.replace("vip_nmask = 255.255.255.255", "vip_nmask = 255.255.255.0")
    receipt = await put(lab, text, dry_run=True)
    assert (receipt.dry_run, receipt.written, receipt.applied, receipt.etag) == (True, False, False, etag_of(TUTORIAL.encode()))
    assert lab.text() == TUTORIAL
    assert lab.plane.operations == []
    told = {(step.action, step.what, step.name): (step.detail, step.connections) for step in receipt.steps}
    assert told == {
        ("change", "real server", "number3 of http (127.0.0.23:8080)"): ("weight 1 → 2", 0),
        ("remove", "real server", "number1 of http (127.0.0.21:8080)"): ("", 0),
        ("remove", "real server", "number2 of http (127.0.0.22:8080)"): ("", 12),
        ("add", "real server", "number1 of http (127.0.0.21:8081)"): ("weight 2, nat, once its first check has succeeded", 0),
        ("add", "real server", "number2 of http (127.0.0.22:8081)"): ("weight 2, nat, once its first check has succeeded", 0),
        ("add", "address", "127.0.0.100/24"): ("on lo:1", 0),
        ("remove", "address", "127.0.0.100/32"): ("on lo:1", 0),
    }


async def test_a_stale_write_is_refused_with_the_etag_of_now(lab: Lab) -> None:
    old = await lab.ask(lab.client.config)
    await put(lab, TUTORIAL + "# newer\n")
    with pytest.raises(StaleConfig) as caught:
        await lab.ask(lab.client.put_config, TUTORIAL + "# mine\n", if_match=old.etag)
    assert caught.value.etag == etag_of((TUTORIAL + "# newer\n").encode())
    assert lab.text() == TUTORIAL + "# newer\n"


async def test_a_hand_edit_while_a_form_is_open_makes_the_form_stale(lab: Lab) -> None:
    opened = await lab.ask(lab.client.config)
    lab.lvs_cf.write_text(TUTORIAL + "# by hand\n")
    with pytest.raises(StaleConfig):
        await lab.ask(lab.client.put_config, TUTORIAL + "# by form\n", if_match=opened.etag)
    assert lab.text() == TUTORIAL + "# by hand\n"


async def test_of_two_accepts_at_once_exactly_one_wins(lab: Lab) -> None:
    etag = (await lab.ask(lab.client.config)).etag
    texts = [TUTORIAL + f"# caller {number}\n" for number in range(8)]
    answers = await asyncio.gather(*(lab.ask(lab.client.put_config, text, if_match=etag) for text in texts), return_exceptions=True)
    losers = [answer for answer in answers if isinstance(answer, StaleConfig)]
    (winner,) = (number for number, answer in enumerate(answers) if not isinstance(answer, BaseException))
    assert len(losers) == 7
    assert lab.text() == texts[winner]


async def test_errors_are_all_told_with_their_lines_and_nothing_is_written(lab: Lab) -> None:
    text = TUTORIAL.replace("network = nat", "network = natt").replace("port = 80\n", "port = eighty-one\n")
    with pytest.raises(InvalidConfig) as caught:
        await put(lab, text)
    lines = {one.line for one in caught.value.diagnostics if one.severity == "error"}
    assert lines >= {number for number, line in enumerate(text.splitlines(), 1) if "natt" in line or "eighty" in line}
    assert lab.text() == TUTORIAL
    assert lab.plane.operations == []


async def test_undo_is_putting_back_what_was_there_before(lab: Lab) -> None:
    assert await previous(lab) is None
    await put(lab, TUTORIAL + "# changed\n")
    assert await previous(lab) == TUTORIAL
    await put(lab, TUTORIAL)
    assert await previous(lab) == TUTORIAL + "# changed\n"


async def test_putting_what_is_there_writes_nothing_and_repairs_the_table(lab: Lab) -> None:
    lab.plane.clear()
    receipt = await put(lab, TUTORIAL)
    assert (receipt.written, receipt.applied) == (False, True)
    assert lab.weights() == ALL_IN


async def test_a_disk_that_refuses_leaves_file_and_table_alone(tmp_path: Path) -> None:
    class Full(SystemFiles):
        def write(self, descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lab = Lab(tmp_path, FakeIpvs(), Full())
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.start()
    try:
        await lab.report("up")
        with pytest.raises(AgentRefused, match="no space left on the disk; it is unchanged") as caught:
            await put(lab, TUTORIAL.replace("weight = 1", "weight = 9"))
        assert caught.value.code == "unavailable"
        assert (lab.text(), lab.weights()) == (TUTORIAL, ALL_IN)
    finally:
        await lab.stop()


async def test_a_new_server_is_in_after_its_first_success_and_a_removed_one_at_once_out(lab: Lab) -> None:
    await put(lab, TUTORIAL.replace("127.0.0.23", "127.0.0.24"))
    assert set(lab.plane.table[HTTP].servers) == set(NUMBERS[:2])
    await lab.report("up", "number3")
    assert set(lab.plane.table[HTTP].servers) == {*NUMBERS[:2], ServerKey("127.0.0.24", 8080)}
    assert lab.plane.operations == [DeleteServer(HTTP, NUMBERS[2]), AddServer(HTTP, ServerKey("127.0.0.24", 8080), Server(1))]


async def test_a_virtual_server_the_plane_refuses_fails_alone_with_the_reason(lab: Lab) -> None:
    lab.plane.missing_schedulers = {"mh"}
    other = TUTORIAL[TUTORIAL.index("virtual http") :].replace("virtual http", "virtual other").replace("127.0.0.100", "127.0.0.101")
    receipt = await put(lab, TUTORIAL + other.replace("scheduler = rr", "scheduler = mh"))
    assert (receipt.written, receipt.applied) == (True, False)
    assert [(one.subject, one.reason) for one in receipt.refusals] == [("virtual server other", "scheduler mh: module missing")]
    state = await lab.ask(lab.client.state)
    assert {one.name: (one.state, one.reason) for one in state.virtual_servers} == {
        "http": ("up", ""),
        "other": ("failed", "scheduler mh: module missing"),
    }
    assert not state.config.in_step
    assert any(alert.code == "refused" for alert in state.alerts)
    assert lab.weights() == ALL_IN
    lab.plane.missing_schedulers = set()
    await lab.director.step()
    assert (await lab.ask(lab.client.state)).config.in_step
    assert await kinds(lab, "repair") == []  # what was missing was known: nobody else had been there


async def test_timeouts_are_set_when_given_and_left_alone_otherwise(lab: Lab) -> None:
    await put(lab, TUTORIAL.replace("network = nat", "network = nat\ntcp_timeout = 60"))
    assert lab.plane.operations == [SetTimeouts(Timeouts(60, 0, 0))]
    assert (await lab.ask(lab.client.state)).data_plane.tcp_timeout_s == 60


# --- edits by hand, missing and broken files -------------------------------------------------------------------------------------


async def test_an_edit_by_hand_is_found_and_applied(lab: Lab) -> None:
    lab.lvs_cf.write_text(TUTORIAL.replace("weight = 1", "weight = 5"))
    await lab.director.step()
    assert set(lab.weights()["127.0.0.100:80 tcp"].values()) == {5}
    assert any("edited outside the console" in message for message in await kinds(lab, "config"))
    assert await previous(lab) == TUTORIAL


async def test_an_edit_by_hand_with_errors_changes_nothing_and_is_said_loudly(lab: Lab) -> None:
    lab.lvs_cf.write_text(TUTORIAL.replace("scheduler = rr", "scheduler = fastest"))
    await lab.director.step()
    await lab.director.step()
    assert lab.weights() == ALL_IN
    state = await lab.ask(lab.client.state)
    (alert,) = [alert for alert in state.alerts if alert.code == "config-errors"]
    assert "has errors (line 12: " in alert.message
    assert "still serving serial 1" in alert.message
    assert (state.config.in_step, state.config.errors) == (False, 1)
    assert len([message for message in await kinds(lab, "config") if "has errors" in message]) == 1
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.director.step()
    assert (await lab.ask(lab.client.state)).config.in_step


def emptied(path: Path) -> None:
    path.write_text("")


def cut_short(path: Path) -> None:
    path.write_text(TUTORIAL[: TUTORIAL.index("server number3")])


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [emptied, cut_short, a_pipe, a_folder, a_link_to_nothing])
async def test_whatever_is_put_in_the_place_of_lvs_cf_what_runs_goes_on_and_the_reason_is_said(
    lab: Lab, spoil: Callable[[Path], None]
) -> None:
    spoil(lab.lvs_cf)
    await lab.director.step()
    await lab.director.step()
    assert lab.weights() == ALL_IN
    assert "still serving serial 1" in (await lab.ask(lab.client.state)).config.reason
    assert (await lab.ask(lab.client.history)).total == 1


async def test_an_address_that_a_review_was_told_first_is_followed_too(lab: Lab) -> None:
    found = {"web1": "127.0.0.31"}
    names = Names(Hours(), lambda name: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found[name], 0))])
    lab.director.names = names
    text = TUTORIAL.replace("address = 127.0.0.21", "address = web1")
    await put(lab, text)
    await lab.report("up")
    assert "127.0.0.31:8080" in lab.weights()["127.0.0.100:80 tcp"]
    found["web1"] = "127.0.0.32"
    await put(lab, text + "# more\n", dry_run=True)
    assert names.address("web1") == "127.0.0.32"
    await lab.director.follow_names()
    await lab.report("up")
    assert "127.0.0.32:8080" in lab.weights()["127.0.0.100:80 tcp"]


async def test_a_file_that_vanishes_takes_nothing_down(lab: Lab) -> None:
    lab.lvs_cf.unlink()
    await lab.director.step()
    assert lab.weights() == ALL_IN
    state = await lab.ask(lab.client.state)
    assert not state.config.exists
    assert "is gone; still serving serial 1" in state.config.reason
    config = await lab.ask(lab.client.config)
    assert (config.text, config.exists) == ("", False)
    await lab.ask(lab.client.put_config, TUTORIAL, if_match=config.etag)
    assert (await lab.ask(lab.client.state)).config.in_step


async def test_without_lvs_cf_an_empty_configuration_is_served_and_said(tmp_path: Path) -> None:
    async with running(tmp_path, text=None) as lab:
        state = await lab.ask(lab.client.state)
        assert (state.virtual_servers, state.config.exists) == ([], False)
        assert [alert.code for alert in state.alerts if "lvs.cf" in alert.message] == ["config-missing"]
        config = await lab.ask(lab.client.config)
        receipt = await lab.ask(lab.client.put_config, TUTORIAL, if_match=config.etag)
        assert receipt.applied
        assert lab.text() == TUTORIAL


async def test_errors_at_the_start_leave_what_was_applied_last(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, plane=plane) as lab:
        await lab.report("up")
    broken = TUTORIAL.replace("scheduler = rr", "scheduler = fastest").replace("weight = 1", "weight = 9")
    async with running(tmp_path, broken, plane=plane) as lab:
        assert lab.weights() == ALL_IN
        state = await lab.ask(lab.client.state)
        assert "serving serial 1, applied last" in state.config.reason
        assert (await lab.ask(lab.client.config)).text == broken


async def test_errors_at_the_very_first_start_leave_the_virtual_servers_without_errors(tmp_path: Path) -> None:
    block = TUTORIAL[TUTORIAL.index("virtual http") :]
    broken = TUTORIAL + block.replace("virtual http", "virtual other").replace("127.0.0.100", "127.0.0.101").replace("= rr", "= fastest")
    async with running(tmp_path, broken) as lab:
        await lab.report("up")
        assert lab.weights() == ALL_IN
        assert "serving the virtual servers without errors" in (await lab.ask(lab.client.state)).config.reason
        await lab.director.look_at_disk(again=True)
        assert not (await lab.ask(lab.client.state)).config.in_step
        lab.lvs_cf.write_text(TUTORIAL)
        await lab.director.step()
        assert (await lab.ask(lab.client.state)).config.in_step
        assert lab.weights() == ALL_IN


# --- the table -------------------------------------------------------------------------------------------------------------------


async def test_a_table_emptied_by_hand_is_repaired_and_told(lab: Lab) -> None:
    lab.plane.clear()
    await lab.director.step()
    assert lab.weights() == ALL_IN
    assert await kinds(lab, "repair") == ["the table had been changed by somebody else and is repaired: http (4)"]


async def test_foreign_services_are_shown_and_left_alone(lab: Lab) -> None:
    await lab.plane.apply([AddService(FOREIGN, Service("wlc")), AddServer(FOREIGN, NUMBERS[0], Server(1))])
    await lab.director.step()
    await put(lab, "serial_no = 2\nprimary = 127.0.0.1\n")
    assert list(lab.plane.table) == [FOREIGN]
    foreign = (await lab.ask(lab.client.state)).foreign
    assert [(one.service, one.scheduler, one.servers) for one in foreign] == [("192.0.2.200:25 tcp", "wlc", 1)]
    await lab.director.keeper.withdraw()
    assert list(lab.plane.table) == [FOREIGN]


async def test_health_changes_touch_that_server_alone_and_are_told(lab: Lab) -> None:
    reads = lab.plane.reads
    await lab.report("down", "number2", reason="connection refused")
    assert lab.plane.operations == [DeleteServer(HTTP, NUMBERS[1])]
    assert lab.plane.reads == reads  # no need to read a large table for that
    assert (await kinds(lab, "server"))[0] == "real server number2 of http (127.0.0.22:8080) is down: connection refused"
    state = await lab.ask(lab.client.state, servers=True)
    (http,) = state.virtual_servers
    assert [(one.name, one.state, one.weight, one.reason) for one in http.real_servers] == [
        ("number1", "up", 1, ""),
        ("number2", "down", None, "connection refused"),
        ("number3", "up", 1, ""),
    ]
    assert (http.state, http.up, http.enabled, http.total) == ("up", 2, 3, 3)
    await lab.report("down", reason="timed out")
    assert (await lab.ask(lab.client.state)).virtual_servers[0].state == "down"


async def test_health_that_changes_in_a_table_emptied_by_hand_repairs_the_whole(lab: Lab) -> None:
    lab.plane.clear()
    await lab.report("down", "number2")
    assert set(lab.plane.table[HTTP].servers) == {NUMBERS[0], NUMBERS[2]}


async def test_a_restart_keeps_health_table_and_events(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, plane=plane) as lab:
        await lab.report("up", "number1", "number2")
        await lab.report("down", "number3")
    plane.batches.clear()
    async with running(tmp_path, plane=plane) as lab:
        assert plane.operations == []  # the newcomer adopts what it finds
        states = {key: lab.director.book.known_state(key) for key in lab.director.book.specs}
        assert states == {"http/number1": "up", "http/number2": "up", "http/number3": "down"}
        assert any("number3 of http" in message for message in await kinds(lab, "server"))
        plane.clear()
        await lab.director.step()
        assert set(plane.table[HTTP].servers) == set(NUMBERS[:2])


async def test_what_leaves_lvs_cf_while_lvsd_is_away_leaves_the_table(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, plane=plane) as lab:
        await lab.report("up")
        await plane.apply([AddService(FOREIGN, Service("wlc"))])
    async with running(tmp_path, TUTORIAL.replace("127.0.0.100", "127.0.0.101"), plane=plane):
        assert {str(key) for key in plane.table} == {"127.0.0.101:80 tcp", "192.0.2.200:25 tcp"}


async def test_a_planned_stop_takes_out_what_is_ours(tmp_path: Path) -> None:
    plane = FakeIpvs()
    lab = Lab(tmp_path, plane)
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.start()
    await lab.report("up")
    await plane.apply([AddService(FOREIGN, Service("wlc"))])
    await lab.stop(planned=True)
    assert list(plane.table) == [FOREIGN]
    assert not (lab.settings.runtime_dir / "health.json").exists()


async def test_without_ipvs_the_api_answers_says_why_and_tries_again(tmp_path: Path) -> None:
    plane = FakeIpvs(unavailable="the kernel has no IPVS: modprobe ip_vs")
    async with running(tmp_path, plane=plane) as lab:
        state = await lab.ask(lab.client.state)
        assert (state.data_plane.state, state.data_plane.reason) == ("unavailable", "the kernel has no IPVS: modprobe ip_vs")
        assert state.virtual_servers[0].state == "failed"
        with pytest.raises(AgentRefused, match="the kernel has no IPVS"):
            await lab.ask(lab.client.table_text)
        receipt = await put(lab, TUTORIAL + "# still editable\n")
        assert (receipt.written, receipt.applied) == (True, False)
        await lab.report("up")
        plane.unavailable = ""
        await lab.director.step()
        assert lab.weights() == ALL_IN
        assert (await lab.ask(lab.client.state)).data_plane.state == "ready"
        assert await kinds(lab, "repair") == []


# --- state, checks, trial, table -------------------------------------------------------------------------------------------------


def many(count: int, servers: int = 2) -> str:
    blocks = []
    for number in range(count):
        members = "".join(
            f"server s{server} {{\naddress = 127.1.{number % 250}.{server + 1}\nactive = 1\nport = 80\n}}\n" for server in range(servers)
        )
        address = f"127.2.{number // 250}.{number % 250}"
        blocks.append(f"virtual v{number:04} {{\nactive = 1\naddress = {address} lo:1\nport = 80\nprotocol = tcp\n{members}}}\n")
    return "serial_no = 1\nprimary = 127.0.0.1\nnetwork = direct\n" + "".join(blocks)


async def test_a_page_of_many_virtual_servers(tmp_path: Path) -> None:
    async with running(tmp_path, many(120)) as lab:
        await lab.report("up", virtual="v0000")
        ask: Callable[..., Any] = lab.client.state
        second = await lab.ask(ask, page=2, per_page=50)
        assert ([one.name for one in second.virtual_servers[:2]], second.matching, second.virtual_total) == (["v0050", "v0051"], 120, 120)
        assert second.real_total == 240
        found = await lab.ask(ask, search="127.1.7.1")
        assert {one.name for one in found.virtual_servers} == {"v0007"}
        one = await lab.ask(ask, virtual="v0007", servers=True)
        assert [server.name for server in one.virtual_servers[0].real_servers] == ["s0", "s1"]
        assert (await lab.ask(ask, per_page=1, sort="name")).virtual_servers[0].name == "v0000"
        assert (await lab.ask(ask, per_page=1, sort="connections")).matching == 120
        with pytest.raises(AgentRefused, match="sort is one of"):
            await lab.ask(ask, sort="colour")


async def test_a_large_configuration_is_cheap_to_look_at(tmp_path: Path) -> None:
    async with running(tmp_path, many(1000, servers=10)) as lab:
        await lab.director.step()
        loop = asyncio.get_running_loop()
        took = []
        for page in range(1, 11):
            began = loop.time()
            await lab.ask(lab.client.state, page=page, per_page=50, servers=True)
            took.append(loop.time() - began)
        assert sorted(took)[len(took) // 2] < 0.2  # a sanity limit; the benchmark measures


async def test_checks_by_virtual_server(lab: Lab) -> None:
    await lab.report("down", "number2", reason="connection refused")
    checks = await lab.ask(lab.client.checks, virtual="http", per_page=2)
    assert checks.matching == 3
    assert [(one.key, one.state) for one in checks.checks] == [("http/number1", "up"), ("http/number2", "down")]
    assert (await lab.ask(lab.client.checks, virtual="other")).matching == 0


async def test_the_plain_table_is_ipvsadms_text(lab: Lab) -> None:
    assert (await lab.ask(lab.client.table_text)).splitlines()[3:5] == [
        "TCP  127.0.0.100:80 rr",
        "  -> 127.0.0.21:8080              Masq    1      0          0         ",
    ]
    assert (await lab.ask(lab.client.table_text, rules=True)).startswith("-A -t 127.0.0.100:80 -s rr\n-a -t 127.0.0.100:80")


async def test_names_that_are_not_utf_8_are_shown_escaped_everywhere(lab: Lab) -> None:
    await put(lab, TUTORIAL.replace("virtual http", "virtual caf\udce9"))
    await lab.report("up", virtual="caf\\xe9")
    state = await lab.ask(lab.client.state, virtual="caf\udce9", servers=True)
    assert [one.name for one in state.virtual_servers] == ["caf\\xe9"]
    assert (await lab.ask(lab.client.checks, virtual="caf\udce9")).matching == 3


async def test_test_now_and_announce_need_their_processes(lab: Lab) -> None:
    etag = (await lab.ask(lab.client.config)).etag
    request = TrialRequest(etag=etag, virtual="http", send=None, expect=None, use_regex=False, send_program=None)
    with pytest.raises(AgentRefused, match="nanny is not running"):
        await lab.ask(lab.client.trial, request)
    with pytest.raises(StaleConfig):
        await lab.ask(lab.client.trial, msgspec.structs.replace(request, etag="0" * 64))
    with pytest.raises(AgentRefused, match="there is no virtual server nowhere"):
        await lab.ask(lab.client.trial, msgspec.structs.replace(request, virtual="nowhere"))
    with pytest.raises(AgentRefused, match="pulse is not running"):
        await lab.ask(lab.client.announce)


async def test_a_root_command_that_agent_toml_does_not_list_is_said_and_not_passed_on(lab: Lab) -> None:
    await put(lab, TUTORIAL.replace("network = nat", 'network = nat\nactive_cmd = "/bin/sh -c id"'))
    state = await lab.ask(lab.client.state)
    assert any(alert.code == "root-command" and "/bin/sh -c id" in alert.message for alert in state.alerts)
    assert lab.director.pulse._configure is not None
    assert lab.director.pulse._configure.active_command == []


# --- hostile callers -------------------------------------------------------------------------------------------------------------


async def raw(lab: Lab, request: str | bytes, *, wait_s: float = 10) -> tuple[int, str, bytes]:
    """Bytes as they are; the answer's status, head and body (0 when the agent hung up)."""
    reader, writer = await asyncio.open_unix_connection(str(lab.settings.agent_socket))
    try:
        writer.write(request.encode() if isinstance(request, str) else request)
        async with asyncio.timeout(wait_s):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, "", b""
    finally:
        writer.close()
    return int(head.split()[1]), head.decode(), body


def request(method: str, target: str, *headers: str) -> str:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""])


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (request("GET", "/"), 404, "not_found"),
        (request("GET", "/v2/state"), 404, "not_found"),
        (request("GET", "/v1/../etc/passwd"), 404, "not_found"),
        (request("DELETE", "/v1/config"), 405, "bad_request"),
        (request("POST", "/v1/state"), 405, "bad_request"),
        (request("PUT", "/v1/config", "Content-Length: 0"), 428, "bad_request"),
        (request("PUT", "/v1/config", "If-Match: *", "Content-Length: 0"), 428, "bad_request"),
        (request("PUT", "/v1/config", 'If-Match: "a", "b"', "Content-Length: 0"), 428, "bad_request"),
        (request("PUT", "/v1/config", 'If-Match: "0"', "Content-Length: 0"), 412, "stale"),
        (request("PUT", "/v1/config", 'If-Match: "0"', "Content-Length: 99999999999"), 413, "too_large"),
        (request("GET", "/v1/state?page=0"), 400, "bad_request"),
        (request("GET", "/v1/state?page=-1"), 400, "bad_request"),
        (request("GET", "/v1/state?per_page=1000000"), 400, "bad_request"),
        (request("GET", "/v1/state?servers=maybe"), 400, "bad_request"),
        (request("GET", "/v1/events?limit=0"), 400, "bad_request"),
        (request("POST", "/v1/trial", "Content-Length: 2") + "{}", 400, "bad_request"),
        (request("POST", "/v1/trial", "Content-Length: 3") + "nul", 400, "bad_request"),
    ],
)
async def test_every_no_is_a_problem_in_words(lab: Lab, said: str, status: int, code: str) -> None:
    got, _, body = await raw(lab, said)
    problem = msgspec.json.decode(body, type=Problem)
    assert (got, problem.code) == (status, code)
    assert problem.message
    assert "Traceback" not in problem.message


async def test_a_body_that_grows_beyond_the_limit_is_cut_off(lab: Lab) -> None:
    head = request("PUT", "/v1/config", 'If-Match: "0"', "Transfer-Encoding: chunked")
    chunk = b"100000\r\n" + b"#" * 0x100000 + b"\r\n"
    status, _, _ = await raw(lab, head.encode() + chunk * 40, wait_s=30)
    assert status in {413, 0}
    assert lab.text() == TUTORIAL


async def test_twenty_hostile_callers_at_once_leave_the_twenty_first_unharmed(lab: Lab) -> None:
    etag = etag_of(b"something old")
    big = request("PUT", "/v1/config", f'If-Match: "{etag}"', "Content-Length: 4000000").encode() + b"#" * 4_000_000
    hostile: list[bytes] = [
        b"\x00\xff\xfe garbage \r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/state HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        big,
        request("PUT", "/v1/config", f'If-Match: "{etag}"', "Content-Length: 9").encode() + b"serial_no",
        request("BREW", "/v1/config").encode(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        request("POST", "/v1/trial", "Content-Length: 100000").encode() + b"[" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        request("GET", "/v1/state?search=" + "%00%ff" * 1000).encode(),
    ]
    slow = [await asyncio.open_unix_connection(str(lab.settings.agent_socket)) for _ in range(10)]
    for _, writer in slow:
        writer.write(b"PUT /v1/config HTTP/1.1\r\nHost: a\r\nIf-Ma")  # and never more
    attacks = [asyncio.ensure_future(raw(lab, said, wait_s=20)) for said in hostile]
    for number in range(5):
        text = TUTORIAL + f"# honest {number}\n"
        assert (await put(lab, text)).written
        assert (await lab.ask(lab.client.state)).virtual_servers[0].state == "up"
    statuses = [status for status, _, _ in await asyncio.gather(*attacks)]
    assert all(status == 0 or 400 <= status < 500 or (status == 200 and number == 9) for number, status in enumerate(statuses)), statuses
    for _, writer in slow:
        writer.close()
    assert lab.text() == TUTORIAL + "# honest 4\n"
    assert lab.weights() == ALL_IN


AS_ANOTHER = textwrap.dedent(
    """
    import os, socket, sys
    os.setgroups([int(group) for group in sys.argv[3].split(",") if group])
    os.setgid(int(sys.argv[2])); os.setuid(65534)
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect(sys.argv[1])
    except PermissionError:
        print("no permission to connect"); sys.exit()
    one.sendall(b"GET /v1/config HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
    print(one.makefile().readline())
    """
)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changing users takes root")
@pytest.mark.parametrize(
    ("group", "groups", "everyone", "answer"),
    [
        (65534, "", False, "no permission to connect"),
        (65534, "", True, "403 Forbidden"),
        (0, "", True, "200 OK"),
        (65534, "0", True, "200 OK"),
    ],
    ids=["kept out by the file", "kept out by the kernel's word", "the group", "a supplementary group"],
)
async def test_only_the_sockets_group_may_speak(lab: Lab, group: int, groups: str, everyone: bool, answer: str) -> None:
    if everyone:
        lab.settings.agent_socket.chmod(0o666)  # even a socket left open to all asks who is there
    opened = [path for path in [lab.folder, *lab.folder.parents] if path.owner() == "root" and not path.stat().st_mode & 0o001]
    modes = {path: path.stat().st_mode for path in opened}
    try:
        for path in [*opened, lab.settings.runtime_dir]:
            path.chmod(0o711)
        child = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-c", AS_ANOTHER, str(lab.settings.agent_socket), str(group), groups, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await child.communicate()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert answer in told.decode()


async def test_no_agent_is_told_apart_from_an_agent_that_says_no(tmp_path: Path) -> None:
    with pytest.raises(AgentDown, match="is lvsagent running"):
        AgentClient(tmp_path / "agent.sock").config()
    (tmp_path / "silent.sock").parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent.sock"))
        listener.listen()
        with pytest.raises(AgentDown, match="did not answer"):
            await asyncio.to_thread(AgentClient(tmp_path / "silent.sock", timeout_s=0.1).state)
