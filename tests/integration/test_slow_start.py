"""Slow starts in the table of a real lvsd: after a failure, after an operator's drain, over a restart, on the other director."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from lvsagent.core.table import Counters
from lvsagent.wire import CheckResult
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import NUMBERS, TUTORIAL, Lab, running
from tests.integration.sync_lab import PAIR, both, eventually
from tests.integration.test_overrides import ONE, TWO, count, decide, served, shown

KEY = "http/number1"


def slow(text: str, seconds: int = 1000) -> str:
    return text.replace("weight = 1\n", "weight = 100\n").replace("port = 80\n", f"port = 80\n     slow_start = {seconds}\n", 1)


def passes(lab: Lab, seconds: float) -> None:
    """The slow start of number1 began so much earlier."""
    ramp = lab.director.book.sides._ramps[KEY]
    assert ramp.began is not None
    ramp.began -= seconds


async def come_back(lab: Lab) -> None:
    await lab.report("up")
    await lab.report("down", "number1")
    await lab.report("up", "number1")
    assert served(lab) == {ONE: 3, TWO: 100, str(NUMBERS[2]): 100}


async def nothing_yet(_key: str) -> list[CheckResult]:
    """A nanny's answer."""
    return []


async def drained(lab: Lab) -> None:
    await lab.report("up")
    await decide(lab, "drain")
    await lab.director.step()
    assert (await shown(lab)).state == "drained"


async def test_a_restart_of_lvsd_goes_on_with_a_slow_start(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, slow(TUTORIAL), plane) as lab:
        await come_back(lab)
        lab.director.nanny.explain = nothing_yet  # type: ignore[assignment,method-assign]
        assert (await lab.ask(lab.client.explain, KEY)).slow_start == "slow start, 3% so far"
        passes(lab, 300)
        await lab.director.step()
        assert 30 <= served(lab)[ONE] <= 40
    kept = tmp_path / "run" / "health.json"
    remembered = json.loads(kept.read_text())
    remembered[KEY]["began"] -= 500  # what passed while there was no lvsd, and what had passed before
    kept.write_text(json.dumps(remembered))
    wrote: list[int] = []
    apply = plane.apply

    async def watched(operations: object) -> object:
        found = await apply(operations)  # type: ignore[arg-type]
        wrote.append(served(lab)[ONE])
        return found

    plane.apply = watched  # type: ignore[assignment,method-assign]
    lab = Lab(tmp_path, plane)
    await lab.start()
    try:
        assert len(wrote) == 1, "from where it was to where it would be, with nothing in between"
        assert 50 <= wrote[0] <= 60
        await lab.report("up")
        assert 50 <= served(lab)[ONE] <= 60
        assert (await shown(lab)).reason.startswith("slow start, 5")
    finally:
        await lab.stop()


async def test_a_slow_start_that_has_ended_does_not_begin_again_with_another_length(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, slow(TUTORIAL), plane) as lab:
        await come_back(lab)
        passes(lab, 1000)
        await lab.director.step()
        assert served(lab)[ONE] == 100
    async with running(tmp_path, slow(TUTORIAL, 86400), plane) as lab:
        assert served(lab)[ONE] == 100


async def test_another_slow_start_in_lvs_cf_holds_for_those_under_way(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await come_back(lab)
        passes(lab, 100)
        await lab.ask(lab.client.put_config, slow(TUTORIAL, 200), if_match=(await lab.ask(lab.client.config)).etag)
        assert served(lab)[ONE] == 3, "an accept changes what its plan showed, and the next round the rest"
        await lab.director.step()
        assert 50 <= served(lab)[ONE] <= 60
        await lab.ask(lab.client.put_config, slow(TUTORIAL, 0), if_match=(await lab.ask(lab.client.config)).etag)
        await lab.director.step()
        assert served(lab)[ONE] == 100


@pytest.mark.parametrize("action", ["drain", "down"])
async def test_a_server_that_is_taken_back_starts_slowly(tmp_path: Path, action: str) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, slow(TUTORIAL), plane) as lab:
        await lab.report("up")
        await decide(lab, action)
        await lab.director.step()
        await decide(lab, "auto")
        await decide(lab, "drain")
        assert "slow start" not in (await shown(lab)).reason, "a weight of 0 has no parts"
        await lab.director.step()
        await decide(lab, "auto")
        assert served(lab)[ONE] == 3
        assert (await shown(lab)).reason == "slow start, 3% so far"
        passes(lab, 500)
        await lab.director.step()
        assert 50 <= served(lab)[ONE] <= 60
    async with running(tmp_path, plane=plane) as lab:
        assert served(lab)[ONE] < 100, "kept, although no check has changed"


async def test_a_drain_that_is_taken_back_while_it_has_connections_leaves_no_trace(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await lab.report("up")
        await decide(lab, "drain")
        count(lab.plane, NUMBERS[0], Counters(active=1))
        await lab.director.step()
        await decide(lab, "auto")
        assert served(lab)[ONE] == 100


async def test_a_host_that_is_taken_back_starts_slowly_where_lvs_cf_says_so(tmp_path: Path) -> None:
    second = TUTORIAL[TUTORIAL.index("virtual http") :].replace("virtual http", "virtual other").replace("port = 80\n", "port = 81\n")
    async with running(tmp_path, slow(TUTORIAL) + second) as lab:
        await lab.report("up")
        await lab.report("up", virtual="other")
        await decide(lab, "drain", "127.0.0.21")
        await lab.director.step()
        await decide(lab, "auto", "127.0.0.21")
        assert [weights[ONE] for weights in lab.weights().values()] == [3, 1]


async def test_a_server_that_returns_at_its_time_starts_slowly(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await drained(lab)
        await decide(lab, "drain", return_at=time.time() + 60)
        await lab.director.step()
        machine = lab.director.overrides._machine
        (one,) = machine.all
        machine._all[one.target] = replace(one, return_at=time.time())  # a minute has passed
        await lab.director.step()
        assert served(lab)[ONE] == 3


async def test_a_server_that_is_down_when_it_is_taken_back_starts_slowly_when_it_is_up(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await drained(lab)
        await lab.report("down", "number1")
        await decide(lab, "auto")
        assert ONE not in served(lab)
        await lab.report("up", "number1")
        assert served(lab)[ONE] == 3


async def test_forced_up_is_the_whole_weight_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await drained(lab)
        await decide(lab, "up")
        assert served(lab)[ONE] == 100
        await decide(lab, "auto")
        assert served(lab)[ONE] == 100


async def test_both_directors_start_it_slowly_so_that_a_takeover_goes_on_with_it(tmp_path: Path) -> None:
    async with both(tmp_path, text=slow(PAIR)) as pair:
        pair.one.be("active")
        pair.two.be("standby", "active")
        await pair.settle("in_step")
        for side in (pair.one, pair.two):
            await side.report("up")
        await decide(pair.one, "drain")
        await pair.one.director.step()
        await eventually(lambda: [one.phase for one in pair.two.director.overrides.infos().overrides] == ["drained"], pair.words)
        await decide(pair.one, "auto")
        await eventually(lambda: served(pair.two)[ONE] == 3)
        assert served(pair.one)[ONE] == 3


async def test_a_director_that_hears_later_is_as_far_as_the_other(tmp_path: Path) -> None:
    async with running(tmp_path, slow(TUTORIAL)) as lab:
        await drained(lab)
        (kept,) = lab.director.overrides.sent()
        taken_back = msgspec.structs.replace(kept, action="auto", counter=kept.counter + 1, at=time.time() - 500)
        await lab.director.overrides.hear([taken_back])
        assert 50 <= served(lab)[ONE] <= 60
