"""Drain, force, weigh: a real lvsd through its API, its restart, its lvs.cf, and two of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lvsagent.client import AgentRefused
from lvsagent.core.table import Counters, ServerKey
from lvsagent.wire import OverrideInfo, OverrideRequest, RealServerState
from lvsagent.wire.overrides import KeptOverride
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import NUMBERS, TUTORIAL, Lab, running
from tests.integration.sync_lab import PAIR, both, eventually

ONE, TWO, THREE = (str(key) for key in NUMBERS)


async def decide(lab: Lab, action: str, server: str = "number1", **fields: object) -> list[OverrideInfo]:
    target = {"host": server} if server[0].isdigit() else {"virtual": "http", "server": server}
    found = await lab.ask(lab.client.override, OverrideRequest(action=action, **target, **fields))  # type: ignore[arg-type]
    return found.overrides


def served(lab: Lab) -> dict[str, int]:
    (weights,) = lab.weights().values()
    return weights


async def shown(lab: Lab, server: str = "number1") -> RealServerState:
    state = await lab.ask(lab.client.state, servers=True)
    return next(one for one in state.virtual_servers[0].real_servers if one.name == server)


def count(plane: FakeIpvs, server: ServerKey, counters: Counters) -> None:
    """This real server has so many connections now."""
    (service,) = plane.table
    plane.set_counters(service, server, counters)


async def test_a_drain_is_in_force_with_the_answer_and_says_who_and_why(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        (info,) = await decide(lab, "drain", reason="new disk", deadline_s=60, then="ask")
        assert served(lab) == {ONE: 0, TWO: 1, THREE: 1}
        assert (info.actor, info.reason, info.phase, info.then) == ("tester", "new disk", "draining", "ask")
        count(lab.plane, NUMBERS[0], Counters(active=2, inactive=1, persistent=4))
        await lab.director.step()
        row = await shown(lab)
        assert row.state == "draining"
        assert row.order is not None
        assert (row.order.left, row.order.templates) == (3, 4)
        assert row.reason.startswith("drained by tester: new disk; 3 connections left, 2 active; 4 persistence templates left")
        events = await lab.ask(lab.client.events)
        said = next(event for event in events.events if "is being drained" in event.message)
        assert (said.message, said.actor) == ("real server number1 of http is being drained: new disk", "tester")


async def test_the_answer_to_a_decision_knows_what_is_left_now(tmp_path: Path) -> None:
    """Whoever reads "0 connections left" may switch the server off."""
    async with running(tmp_path) as lab:
        await lab.report("up")
        count(lab.plane, NUMBERS[0], Counters(active=2))
        (info,) = await decide(lab, "drain")
        assert (info.left, info.counted) == (2, True)
        assert info.words == "drained by tester; 2 connections left"


async def test_what_leaves_nobody_to_answer_is_said_with_the_decision(tmp_path: Path) -> None:
    second = TUTORIAL[TUTORIAL.index("virtual http") :].replace("virtual http", "virtual other").replace("port = 80\n", "port = 81\n")
    text = TUTORIAL + second.replace("port = 81\n", "port = 81\n     sorry_server = 127.0.0.99\n")
    async with running(tmp_path, text) as lab:
        await lab.report("up")
        for virtual in ("http", "other"):
            await lab.report("down", "number2", virtual=virtual)

        async def warned(action: str, host: str) -> list[str]:
            return (await lab.ask(lab.client.override, OverrideRequest(action=action, host=host))).warnings

        assert await warned("drain", "127.0.0.21") == []
        assert await warned("down", "127.0.0.23") == [
            "http: no real server takes new connections: nobody answers",
            "other: 0 of 3 real servers are up: the sorry server 127.0.0.99:81 answers",
        ]
        assert await warned("up", "127.0.0.23") == []
        assert await warned("auto", "127.0.0.21") == []


async def test_it_is_drained_when_nothing_is_left_and_one_word_brings_it_back(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "drain")
        count(lab.plane, NUMBERS[0], Counters(active=1))
        await lab.director.step()
        assert (await shown(lab)).state == "draining"
        count(lab.plane, NUMBERS[0], Counters())
        await lab.director.step()
        assert (await shown(lab)).state == "drained"
        assert served(lab)[ONE] == 0
        assert await decide(lab, "auto") == []
        assert served(lab) == {ONE: 1, TWO: 1, THREE: 1}
        assert (await shown(lab)).state == "up"


async def test_cut_takes_it_out_of_the_table(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "drain")
        count(lab.plane, NUMBERS[0], Counters(active=1))
        await decide(lab, "cut")
        assert served(lab) == {TWO: 1, THREE: 1}
        assert (await shown(lab)).state == "cut"


async def test_a_host_is_drained_in_all_its_virtual_servers(tmp_path: Path) -> None:
    second = TUTORIAL[TUTORIAL.index("virtual http") :].replace("virtual http", "virtual other").replace("port = 80\n", "port = 81\n")
    async with running(tmp_path, TUTORIAL + second) as lab:
        await lab.report("up")
        await lab.report("up", virtual="other")
        await decide(lab, "drain", "127.0.0.21")
        assert [weights[ONE] for weights in lab.weights().values()] == [0, 0]
        assert [weights[TWO] for weights in lab.weights().values()] == [1, 1]


async def test_forced_servers_do_not_follow_their_checks(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "up")
        await lab.report("down", reason="connection refused")
        assert served(lab) == {ONE: 1}
        row = await shown(lab)
        assert row.state == "forced up"
        assert "its check: down; connection refused" in row.reason
        await decide(lab, "down")
        assert served(lab) == {}
        await lab.report("up")
        assert served(lab) == {TWO: 1, THREE: 1}
        assert (await shown(lab)).state == "forced down"


async def test_another_weight_is_no_drift_and_shown(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "weight", weight=7)
        assert served(lab)[ONE] == 7
        row = await shown(lab)
        assert (row.state, row.weight, row.configured_weight) == ("up", 7, 1)
        assert row.reason.startswith("weight 7 given by tester")
        await lab.director.step()
        here = lab.director.both.fingerprints()
        assert here.table == here.table_read
        assert not [event for event in (await lab.ask(lab.client.events)).events if event.kind == "repair"]


async def test_it_outlives_lvsd(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, plane=plane) as lab:
        await lab.report("up")
        await decide(lab, "drain", reason="new disk")
    async with running(tmp_path, plane=plane) as lab:
        assert served(lab)[ONE] == 0
        row = await shown(lab)
        assert row.order is not None
        assert (row.state, row.order.reason, row.order.actor) == ("draining", "new disk", "tester")


async def test_what_leaves_lvs_cf_is_forgotten_and_what_stays_is_not(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "drain")
        await decide(lab, "drain", "number2")
        etag = (await lab.ask(lab.client.config)).etag
        text = TUTORIAL.replace("server number1 {", "server web1 {").replace("weight = 1\n", "weight = 2\n")
        await lab.ask(lab.client.put_config, text, if_match=etag)
        found = (await lab.ask(lab.client.overrides)).overrides
        assert [one.server for one in found] == ["number2"]
        assert any("no longer in lvs.cf" in event.message for event in (await lab.ask(lab.client.events)).events)
        assert served(lab)[TWO] == 0


async def test_a_deactivated_server_keeps_what_was_decided(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await decide(lab, "drain")
        etag = (await lab.ask(lab.client.config)).etag
        await lab.ask(lab.client.put_config, TUTORIAL.replace("active = 1\n         port", "active = 0\n         port"), if_match=etag)
        assert [one.server for one in (await lab.ask(lab.client.overrides)).overrides] == ["number1"]


async def test_a_drain_that_asks_is_an_alert_until_it_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        await decide(lab, "drain", deadline_s=0.001, then="ask")
        count(lab.plane, NUMBERS[0], Counters(active=1))
        await lab.director.step()
        alerts = (await lab.ask(lab.client.state)).alerts
        (alert,) = [one for one in alerts if one.code == "drain-deadline"]
        assert (
            alert.message
            == "the deadline of the drain of real server number1 of http has come with 1 connection left: wait, cut, or have it back?"
        )
        await decide(lab, "wait")
        assert not [one for one in (await lab.ask(lab.client.state)).alerts if one.code == "drain-deadline"]
        assert served(lab)[ONE] == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"action": "drain", "virtual": "http", "server": "nobody"}, "not_found"),
        ({"action": "drain", "host": "192.0.2.77"}, "not_found"),
        ({"action": "drain", "virtual": "http"}, "bad_request"),
        ({"action": "drain", "virtual": "http", "server": "number1", "host": "127.0.0.21"}, "bad_request"),
        ({"action": "explode", "virtual": "http", "server": "number1"}, "bad_request"),
        ({"action": "drain", "virtual": "http", "server": "number1", "then": "never"}, "bad_request"),
        ({"action": "weight", "virtual": "http", "server": "number1", "weight": 70000}, "bad_request"),
        ({"action": "cut", "virtual": "http", "server": "number1"}, "not_found"),
        ({"action": "drain", "virtual": "http", "server": "number1", "reason": "x" * 501}, "bad_request"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path, fields: dict[str, object], code: str) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        with pytest.raises(AgentRefused) as refused:
            await lab.ask(lab.client.override, OverrideRequest(**fields))  # type: ignore[arg-type]
        assert refused.value.code == code
        assert served(lab) == {ONE: 1, TWO: 1, THREE: 1}


async def test_what_cannot_be_kept_is_not_decided(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        (tmp_path / "state" / "overrides.json").mkdir()
        with pytest.raises(AgentRefused, match="nothing was decided"):
            await decide(lab, "drain")
        assert served(lab)[ONE] == 1
        assert (await lab.ask(lab.client.overrides)).overrides == []


async def test_a_host_is_not_forgotten_while_a_name_cannot_be_resolved(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, plane=plane) as lab:
        await decide(lab, "drain", "127.0.0.21")
    async with running(tmp_path, TUTORIAL.replace("address = 127.0.0.21", "address = nowhere.invalid"), plane=plane) as lab:
        assert [one.host for one in (await lab.ask(lab.client.overrides)).overrides] == ["127.0.0.21"]
    async with running(tmp_path, TUTORIAL.replace("address = 127.0.0.21", "address = 127.0.0.31"), plane=plane) as lab:
        assert (await lab.ask(lab.client.overrides)).overrides == []


async def test_what_the_other_director_sends_is_believed_only_where_it_makes_sense(tmp_path: Path) -> None:
    good = KeptOverride(target="server:http/number1", action="drain", at=1.0, counter=5, node="righty")
    bad = [
        msgspec.structs.replace(good, action="explode", counter=9),
        msgspec.structs.replace(good, phase="exploding", counter=9),
        msgspec.structs.replace(good, counter=0),
        msgspec.structs.replace(good, counter=2**60),
        msgspec.structs.replace(good, weight=-1, counter=9),
        msgspec.structs.replace(good, reason="x" * 2000, counter=9),
    ]
    async with running(tmp_path) as lab:
        await lab.report("up")
        await lab.director.overrides.hear([*bad, good])
        assert served(lab)[ONE] == 0
        assert lab.director.overrides.sent() == [good]


async def test_a_file_that_cannot_be_used_is_said_and_lvsd_serves(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "overrides.json").write_text("{")
    async with running(tmp_path) as lab:
        assert any("is lost" in event.message for event in (await lab.ask(lab.client.events)).events)
        await decide(lab, "drain")


async def test_the_other_director_drains_too_and_goes_on_when_it_takes_over(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        pair.one.be("active")
        pair.two.be("standby", "active")
        await pair.settle("in_step")
        for side in (pair.one, pair.two):
            await side.report("up")
        await decide(pair.one, "drain", reason="new disk")
        await eventually(lambda: served(pair.two)[ONE] == 0)
        row = await shown(pair.two)
        assert row.order is not None
        assert (row.state, row.order.actor, row.order.reason) == ("draining", "tester", "new disk")
        await pair.two.director.step()
        row = await shown(pair.two)
        assert row.state == "draining", "its counters are not the connections'"
        assert row.reason == "drained by tester: new disk; the active director counts what is left; its check: up"
        pair.one.be("standby", "active")
        pair.two.be("active")
        await pair.two.director.step()
        assert (await shown(pair.two)).state == "drained"
        await decide(pair.two, "auto")
        await eventually(lambda: served(pair.one)[ONE] == 1)


async def test_it_travels_although_lvs_cf_does_not(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        for side in (pair.one, pair.two):
            await side.report("up")
        pair.two.lvs_cf.write_text("virtual http {\n")
        await pair.two.director.look_at_disk()
        await pair.one.accept(PAIR.replace("serial_no = 1", "serial_no = 2").replace("scheduler = rr", "scheduler = wlc"))
        await eventually(lambda: pair.one.director.sync.state == "refused", pair.words)
        await decide(pair.one, "drain")
        await eventually(lambda: served(pair.two)[ONE] == 0, pair.words)
        assert pair.one.director.sync.state == "refused"


async def test_two_that_were_apart_agree_when_they_meet(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        for side in (pair.one, pair.two):
            await side.report("up")
        pair.cut()
        await decide(pair.one, "drain")
        await decide(pair.one, "weight", "number2", weight=4)
        await decide(pair.two, "weight", "number2", weight=9)
        await decide(pair.two, "down", "number3")
        pair.mend()
        await eventually(lambda: served(pair.one) == served(pair.two))
        assert ONE in served(pair.one)
        assert THREE not in served(pair.one)
        assert served(pair.one)[TWO] in {4, 9}
