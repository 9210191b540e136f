"""Grown plans, large changes and guarded changes in lvsd, over a table in memory: what is refused, what goes back, what survives."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lvsagent.adapters.config_files import SystemFiles
from lvsagent.api.contract import Write
from lvsagent.client import AgentRefused, PlanGrown, Unconfirmed
from lvsagent.core.table import Counters
from lvsagent.lvsd.configuration import Configuration
from lvsagent.lvsd.keeper import Outcome
from lvsagent.lvsd.safety import KEPT_PLANS
from lvsagent.messages import PulseState
from lvsagent.wire import GuardInfo, PeerInfo, Receipt
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import NUMBERS, TUTORIAL, Lab, running
from tests.waiting import until

BETTER = TUTORIAL.replace("serial_no = 1", "serial_no = 2").replace("scheduler = rr", "scheduler = wlc")
ON, OFF = "active = 1\n         port = 8080", "active = 0\n         port = 8080"
WITHOUT_ONE = TUTORIAL.replace("serial_no = 1", "serial_no = 2").replace(ON, OFF, 1)
WITHOUT_TWO = TUTORIAL.replace("serial_no = 1", "serial_no = 2").replace(ON, OFF, 2)
NOTHING = "serial_no = 2\n"


async def put(lab: Lab, text: str, **more: object) -> Receipt:
    etag = (await lab.ask(lab.client.config)).etag
    return await lab.ask(lab.client.put_config, text, if_match=etag, **more)


async def guarded(lab: Lab, text: str = BETTER, guard_s: float = 60, **more: object) -> Receipt:
    await lab.report("up")
    return await put(lab, text, guard_s=guard_s, **more)


async def guard_of(lab: Lab) -> GuardInfo:
    found = (await lab.ask(lab.client.state)).guard
    assert found is not None
    return found


def messages(lab: Lab) -> list[str]:
    return [event.message for event in lab.director.events.page(50)]


def move(lab: Lab, seconds: float) -> None:
    """Time goes on for the agent: on its monotonic clock, not on the wall's."""
    clock = lab.director.clock
    began = clock.now
    clock.now = lambda: began() + seconds  # type: ignore[method-assign]  # a clock of this lab alone


# --- a plan that grows ---------------------------------------------------------------------------------------------------------------


async def test_a_server_that_comes_up_after_review_is_shown_before_it_is_taken_out(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up", "number2", "number3")
        shown = await put(lab, WITHOUT_ONE, dry_run=True)
        assert shown.steps == []
        await lab.report("up", "number1")
        with pytest.raises(PlanGrown, match="by remove real server number1 of http") as caught:
            await put(lab, WITHOUT_ONE, plan=shown.plan)
        assert lab.text() == TUTORIAL
        assert [step.action for step in caught.value.receipt.steps] == ["remove"]
        receipt = await put(lab, WITHOUT_ONE, plan=caught.value.receipt.plan)
        assert (receipt.written, receipt.applied) == (True, True)


async def test_a_plan_that_has_shrunk_or_is_the_same_passes(tmp_path: Path) -> None:
    async with running(tmp_path, confirm_share=0.5) as lab:
        await lab.report("up")
        shown = await put(lab, WITHOUT_TWO, dry_run=True)
        await lab.report("down", "number1")
        assert shown.takes_out is not None
        assert (await put(lab, WITHOUT_TWO, plan=shown.plan, confirm=shown.takes_out.token)).written
    async with running(tmp_path, BETTER) as lab:
        shown = await put(lab, TUTORIAL, dry_run=True)
        assert (await put(lab, TUTORIAL, plan=shown.plan)).written


async def test_what_would_happen_without_the_change_too_is_not_its_doing(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        shown = await put(lab, BETTER, dry_run=True)
        lab.director.book.sides["http/number2"] = False  # nanny has just said so, and the table has not followed yet
        assert (await put(lab, BETTER, plan=shown.plan)).written


async def test_a_plan_that_is_no_longer_kept_passes_only_when_it_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        shown = await put(lab, BETTER, dry_run=True)
        lab.director.safety._shown.clear()
        with pytest.raises(PlanGrown, match="no longer kept"):
            await put(lab, WITHOUT_ONE, plan=shown.plan)
        lab.director.safety._shown.clear()
        assert (await put(lab, BETTER, plan=shown.plan)).written


async def test_what_the_other_director_asks_pushes_out_no_plan_that_somebody_was_shown(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        shown = await put(lab, WITHOUT_ONE, dry_run=True)
        for number in range(KEPT_PLANS + 1):
            asked = BETTER.replace("weight = 1", f"weight = {number + 2}")
            planned = await lab.director.both.plan(asked.encode())
            assert planned.steps
        await lab.report("down", "number1")  # another plan now, one step less: it passes because the first is known
        assert (await put(lab, WITHOUT_ONE, plan=shown.plan)).written


# --- a large change ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [WITHOUT_TWO, NOTHING])
async def test_a_large_change_needs_a_confirmation_that_names_it(tmp_path: Path, text: str) -> None:
    async with running(tmp_path, confirm_share=0.5) as lab:
        await lab.report("up")
        for word in ("", "another"):
            with pytest.raises(Unconfirmed, match="number1 of http, number2 of http") as caught:
                await put(lab, text, confirm=word)
        assert lab.text() == TUTORIAL
        takes = caught.value.receipt.takes_out
        assert takes is not None
        assert (takes.real_count, takes.real_total) == (2 if text is WITHOUT_TWO else 3, 3)
        assert (await put(lab, text, confirm=takes.token)).written
        assert lab.text() == text


async def test_how_much_is_large_is_agent_tomls_word(tmp_path: Path) -> None:
    async with running(tmp_path, confirm_share=0.9) as lab:
        assert (await put(lab, WITHOUT_TWO)).written


SERVERS = "".join(f"server s{number} {{\naddress = 127.0.0.3{number}\nactive = 1\n}}\n" for number in range(5))
WEB = f"virtual web {{\nactive = 1\naddress = 127.0.0.101 lo:2\nport = 81\n{SERVERS}}}\n"


async def test_what_the_guard_puts_back_asks_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, confirm_share=0.5) as lab:
        await guarded(lab, TUTORIAL.replace("serial_no = 1", "serial_no = 2") + WEB)
        await lab.ask(lab.client.guard, "revert")
        assert lab.text() == TUTORIAL.replace("serial_no = 1", "serial_no = 3")


# --- the guard -----------------------------------------------------------------------------------------------------------------------


async def test_a_confirmed_change_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        info = await guard_of(lab)
        assert (info.state, info.serial, info.previous_serial, info.actor) == ("watching", 2, 1, "tester")
        assert 50 < info.left_s <= 60
        assert info.watched == ["3 healthy real servers"]
        assert (await lab.ask(lab.client.guard, "confirm", etag=info.etag)).state == "confirmed"
        move(lab, 3600)
        await lab.director.guard.look()
        assert lab.text() == BETTER
        with pytest.raises(AgentRefused, match="no such change is being watched"):
            await lab.ask(lab.client.guard, "revert")


async def test_without_a_confirmation_it_goes_back_as_a_new_serial(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        move(lab, 60)
        await lab.director.guard.look()
        assert lab.text() == TUTORIAL.replace("serial_no = 1", "serial_no = 3")
        assert lab.director.running.config.virtual[0].scheduler == "rr"
        info = await guard_of(lab)
        assert (info.state, info.reason) == ("went back", "nobody confirmed it within 60 s")
        history = await lab.ask(lab.client.history)
        assert [(one.serial, one.origin, one.actor, one.outcome) for one in history.revisions[:2]] == [
            (3, "guard", "guard", "applied"),
            (2, "console", "tester", "reverted"),
        ]
        assert history.revisions[1].outcome_words == "nobody confirmed it within 60 s"
        assert messages(lab)[0] == "guarded change, serial 2: back to the lvs.cf of serial 1, as serial 3: nobody confirmed it within 60 s"
        assert messages(lab)[1].startswith("lvs.cf accepted, serial 3")


async def test_it_goes_back_at_once_when_healthy_servers_are_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        await lab.director.guard.look()
        assert lab.text() == BETTER
        await lab.report("down", "number1", "number2")
        await lab.director.guard.look()
        assert "serial_no = 3" in lab.text()
        assert (await guard_of(lab)).reason == "only 1 of the 3 real servers that were up before are still up"


async def test_servers_that_the_change_takes_out_or_brings_in_are_not_missed(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        fresh = WITHOUT_ONE.replace("server number3 {", "server number9 {\n address = 127.0.0.29\n active = 1\n }\n server number3 {")
        await guarded(lab, fresh)
        assert (await guard_of(lab)).watched == ["2 healthy real servers"]
        await lab.report("down", "number9")
        await lab.director.guard.look()
        assert lab.text() == fresh


def traffic(lab: Lab, connections: int, at: float) -> None:
    """So many new connections since the last sample."""
    plane = lab.plane
    (key,) = plane.table
    total = plane.table[key].counters.connections + connections
    plane.set_counters(key, None, Counters(connections=total))
    lab.director.traffic.sample(plane.table, at)


async def test_it_goes_back_when_new_connections_fall_away(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        for count in range(10):
            traffic(lab, 40, 2.0 * count)
        await put(lab, BETTER, guard_s=60)
        assert (await guard_of(lab)).watched == ["3 healthy real servers", "20.0 new connections a second"]
        for count, connections in enumerate([40, 42, 38, 3, 2, 1]):
            traffic(lab, connections, 20 + 2.0 * count)
            await lab.director.guard.look()
        assert (await guard_of(lab)).reason == "new connections fell from 20.0 to 7.2 a second"
        assert "serial_no = 3" in lab.text()


def heartbeat(lab: Lab, peer: str) -> None:
    """What pulse says."""
    lab.director.pulse.state = PulseState(
        etag="", role="active", since=0, reason="", addresses=[], announced_at=0, peer=PeerInfo(state=peer)
    )


PAIR = TUTORIAL.replace("backup_active = 0", "backup_active = 1\nbackup = 127.0.0.2")


async def test_it_goes_back_when_the_other_director_is_not_heard_any_more(tmp_path: Path) -> None:
    async with running(tmp_path, PAIR) as lab:
        heartbeat(lab, "alive")
        await guarded(lab, PAIR.replace("serial_no = 1", "serial_no = 2") + "# other\n")
        assert (await guard_of(lab)).watched[-1] == "the other director’s heartbeat"
        heartbeat(lab, "dead")
        await lab.director.guard.look()
        move(lab, 3)
        await lab.director.guard.look()
        assert (await guard_of(lab)).reason == "the other director's heartbeat is not heard any more"
        assert lab.text() == PAIR.replace("serial_no = 1", "serial_no = 3")


async def test_a_backup_that_the_change_disables_is_not_missed(tmp_path: Path) -> None:
    async with running(tmp_path, PAIR) as lab:
        heartbeat(lab, "alive")
        await guarded(lab, PAIR.replace("serial_no = 1", "serial_no = 2").replace("backup_active = 1", "backup_active = 0"))
        heartbeat(lab, "none")
        await lab.director.guard.look()
        move(lab, 30)
        await lab.director.guard.look()
        assert (await guard_of(lab)).state == "watching"


# --- nobody's later change is lost ---------------------------------------------------------------------------------------------------

LATER = BETTER.replace("serial_no = 2", "serial_no = 3") + "# later\n"


async def by_accept(lab: Lab) -> None:
    await put(lab, LATER)


async def by_hand(lab: Lab) -> None:
    lab.lvs_cf.write_text(LATER)
    await lab.director.step()


async def by_hand_unnoticed(lab: Lab) -> None:
    lab.lvs_cf.write_text(LATER)


@pytest.mark.parametrize("change", [by_accept, by_hand, by_hand_unnoticed])
async def test_a_later_change_ends_the_guard_and_is_never_overwritten(tmp_path: Path, change: Callable[[Lab], object]) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        await change(lab)  # type: ignore[misc]  # each of them is one
        move(lab, 60)
        await lab.director.guard.look()
        assert lab.text() == LATER
        assert any("that later change stays" in message for message in messages(lab))
        assert not lab.director.guard.watching


SPOILT = LATER.replace("scheduler = wlc", "scheduler = fastest")


@pytest.mark.parametrize("text", [SPOILT, None], ids=["with errors", "removed"])
async def test_an_edit_by_hand_that_is_not_in_force_ends_no_guard(tmp_path: Path, text: str | None) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        lab.lvs_cf.unlink()
        if text is not None:
            lab.lvs_cf.write_text(text)
        await lab.director.step()
        await lab.director.guard.look()
        assert lab.director.guard.watching
        move(lab, 60)
        await lab.director.guard.look()
        assert "serial_no = 3" in lab.text()
        assert (await guard_of(lab)).state == "went back"
        assert any("back to the lvs.cf of serial 1, as serial 3" in message for message in messages(lab))
        previous = await lab.ask(lab.client.previous_config)
        assert (previous.text if previous else None) == text


async def test_a_second_guarded_change_goes_back_to_the_first(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        await put(lab, LATER, guard_s=30)
        info = await guard_of(lab)
        assert (info.serial, info.previous_serial) == (3, 2)
        assert any("serial 2: lvs.cf has been changed again since" in message for message in messages(lab))
        await lab.ask(lab.client.guard, "revert")
        assert lab.text() == BETTER.replace("serial_no = 2", "serial_no = 4")


async def test_a_guarded_change_that_comes_while_the_one_before_goes_back_takes_its_place(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first)
        put_back = first.director.put

        async def overtaken(write: Write) -> Receipt:
            if write.origin == "guard":
                await put_back(Write(LATER.encode(), write.if_match, guard_s=60))
            return await put_back(write)

        first.director.put = overtaken  # type: ignore[method-assign]  # somebody was quicker
        with pytest.raises(AgentRefused):
            await first.ask(first.client.guard, "revert")
        assert first.text() == LATER
        assert (await guard_of(first)).serial == 3
        lab = await again(first)
        info = await guard_of(lab)
        assert (info.serial, info.state) == (3, "watching")
        await lab.stop()


async def test_what_fails_after_the_text_was_written_is_guarded_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.report("up")
        take_over = lab.director.take_over

        async def failing(configuration: Configuration) -> Outcome:
            await take_over(configuration)
            raise RuntimeError("nobody foresaw this")

        lab.director.take_over = failing  # type: ignore[method-assign]  # once
        with pytest.raises(AgentRefused, match="something went wrong"):
            await put(lab, BETTER, guard_s=60)
        lab.director.take_over = take_over  # type: ignore[method-assign]  # as it was
        assert (await guard_of(lab)).serial == 2
        await lab.director.step()
        (newest, *_) = (await lab.ask(lab.client.history)).revisions
        assert (newest.serial, newest.outcome) == (2, "applied")
        await lab.ask(lab.client.guard, "revert")
        assert "serial_no = 3" in lab.text()


async def test_a_word_about_another_change_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await guarded(lab)
        with pytest.raises(AgentRefused, match="no such change"):
            await lab.ask(lab.client.guard, "confirm", etag="0" * 64)
        with pytest.raises(AgentRefused, match="confirm or revert"):
            await lab.ask(lab.client.guard, "dance")
        assert (await guard_of(lab)).state == "watching"


async def test_an_unchanged_text_is_not_guarded_and_a_guard_has_limits(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        assert not (await put(lab, TUTORIAL, guard_s=60)).written
        assert (await lab.ask(lab.client.state)).guard is None
        for seconds in (0.5, 3601, float("nan"), -1):
            with pytest.raises(AgentRefused, match="guard is 1 to 3600 seconds"):
                await put(lab, BETTER, guard_s=seconds)
    async with running(tmp_path / "fresh", None) as lab:
        with pytest.raises(AgentRefused, match="is not there, so this change cannot be guarded"):
            await put(lab, TUTORIAL, guard_s=60)
        assert not lab.lvs_cf.exists()


# --- it survives -----------------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def until_killed(folder: Path) -> AsyncIterator[Lab]:
    """A lab that ``again`` ends."""
    lab = Lab(folder, FakeIpvs())
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.start()
    yield lab


async def again(lab: Lab) -> Lab:
    """Another lvsd over what a kill of this one leaves."""
    await lab.api.stop()
    await lab.director.stop(planned=False)
    after = Lab(lab.folder, lab.plane)
    await after.start()
    return after


async def test_the_next_lvsd_goes_on_watching(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first)
        lab = await again(first)
        info = await guard_of(lab)
        assert (info.state, info.serial) == ("watching", 2)
        assert 50 < info.left_s <= 60
        await lab.report("down", "number1", "number2")
        await lab.director.guard.look()
        assert "serial_no = 3" in lab.text()
        await lab.stop()


async def test_time_that_ran_out_while_lvsd_was_away_counts(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first, guard_s=1)
        lab = await again(first)
        move(lab, 1)
        await lab.director.guard.look()
        assert "serial_no = 3" in lab.text()
        lab = await again(lab)
        await lab.director.guard.look()
        assert (await guard_of(lab)).state == "went back"
        assert "serial_no = 3" in lab.text()
        await lab.stop()


async def test_a_confirmation_is_remembered(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first, guard_s=1)
        await first.ask(first.client.guard, "confirm")
        lab = await again(first)
        move(lab, 3600)
        await lab.director.guard.look()
        assert lab.text() == BETTER
        await lab.stop()


async def test_killed_after_the_text_went_back_and_before_that_was_noted_it_is_noted_then(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first)
        before = (tmp_path / "state" / "guard.json").read_bytes
        kept: list[bytes] = []
        put_back = first.director.put

        async def noting(write: Write) -> Receipt:
            kept.append(before())
            return await put_back(write)

        first.director.put = noting  # type: ignore[method-assign]  # a look at the disk at that moment
        await first.ask(first.client.guard, "revert")
        (tmp_path / "state" / "guard.json").write_bytes(kept[-1])
        lab = await again(first)
        await lab.director.guard.look()
        assert (await guard_of(lab)).state == "went back"
        assert "serial_no = 3" in lab.text()
        await lab.stop()


async def test_killed_before_lvs_cf_was_written_nothing_goes_back(tmp_path: Path) -> None:
    async with until_killed(tmp_path) as first:
        await guarded(first)
        first.lvs_cf.write_text(TUTORIAL)  # as if the kill had come a moment earlier
        lab = await again(first)
        move(lab, 3600)
        await lab.director.guard.look()
        assert lab.text() == TUTORIAL
        await lab.stop()


async def test_a_guard_file_that_cannot_be_used_is_said_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "guard.json").write_text("{")
    async with running(tmp_path) as lab:
        assert any("guard that was running is lost" in message for message in messages(lab))
        assert (await guarded(lab)).written


class Full(SystemFiles):
    """A disk that takes no more once it is full."""

    full = False

    def write(self, descriptor: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data)


async def test_on_a_full_disk_a_guarded_change_is_refused_and_one_that_is_watched_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvsagent.lvsd.guard.SystemFiles", Full)
    async with until_killed(tmp_path) as lab:
        monkeypatch.setattr(Full, "full", True)
        with pytest.raises(AgentRefused, match="no space left"):
            await guarded(lab)
        assert lab.text() == TUTORIAL
        monkeypatch.setattr(Full, "full", False)
        await guarded(lab)
        monkeypatch.setattr(Full, "full", True)
        await lab.ask(lab.client.guard, "confirm")  # what cannot be written can be forgotten
        after = await again(lab)
        assert not after.director.guard.watching
        assert after.text() == BETTER
        await after.stop()


async def test_a_refused_accept_leaves_the_guard_that_was_there(tmp_path: Path) -> None:
    files = Full()
    lab = Lab(tmp_path, FakeIpvs(), files)
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.start()
    await guarded(lab)
    files.full = True
    with pytest.raises(AgentRefused, match="no space left"):
        await put(lab, LATER, guard_s=30)
    files.full = False
    assert (await guard_of(lab)).serial == 2
    lab = await again(lab)
    assert (await guard_of(lab)).serial == 2
    await lab.stop()


async def test_going_back_waits_for_the_disk(tmp_path: Path) -> None:
    files = Full()
    lab = Lab(tmp_path, FakeIpvs(), files)
    lab.lvs_cf.write_text(TUTORIAL)
    await lab.start()
    await guarded(lab)
    files.full = True
    with pytest.raises(AgentRefused, match="cannot go back yet"):
        await lab.ask(lab.client.guard, "revert")
    assert (await guard_of(lab)).state == "going back"
    files.full = False
    move(lab, 2)
    await lab.director.guard.look()
    assert "serial_no = 3" in lab.text()
    await lab.stop()


async def test_the_watcher_runs_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        task = asyncio.create_task(lab.director.guard.run())
        await guarded(lab)
        move(lab, 60)
        await asyncio.to_thread(until, lambda: not lab.director.guard.watching)
        task.cancel()
        assert "serial_no = 3" in lab.text()
        assert sorted(lab.weights()["127.0.0.100:80 tcp"]) == sorted(str(number) for number in NUMBERS)
