"""Two real lvsd keep one lvs.cf: what travels, and what is left whole whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import msgspec
import pytest

from app.lvscf import load
from app.lvscf.model import Protocol
from lvsagent.api.contract import Write
from lvsagent.api.sync_routes import PEER_AT_ONCE
from lvsagent.client import AgentClient, AgentRefused
from lvsagent.core.table import AddServer, AddService, DeleteService, Family, Server, ServerKey, Service, ServiceKey
from lvsagent.lvsd import sync
from lvsagent.wire import Receipt
from tests.integration.sync_lab import PAIR, Both, both, eventually


def changed(number: int, text: str = PAIR) -> str:
    return text.replace("serial_no = 1\n", f"serial_no = {number}\n")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standby gets its moment however busy this machine is: how long it is, and that it ends, is another test's."""
    monkeypatch.setattr(sync, "STANDBY_FIRST_S", 20.0)


async def test_a_fresh_director_gets_the_whole_lvs_cf_with_its_history(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        assert pair.two.text() == PAIR
        one, two = [await side.ask(side.client.history) for side in (pair.one, pair.two)]
        assert [(each.id, each.node, each.origin) for each in two.revisions] == [(each.id, "lefty", "start") for each in one.revisions]


@pytest.mark.usefixtures("patient")
async def test_the_receipt_says_applied_there_with_its_hash_and_serial(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.one.be("active")
        receipt = await pair.one.accept(changed(2))
        assert isinstance(receipt, Receipt)
        assert receipt.peer is not None
        assert (receipt.peer.state, receipt.peer.etag, receipt.peer.serial) == ("applied", receipt.etag, 2)
        assert pair.two.text() == changed(2)


@pytest.mark.usefixtures("patient")
async def test_the_standby_has_applied_before_the_active_director_does(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.one.be("active")
        order: list[str] = []
        for side in (pair.one, pair.two):
            adopt, name = side.director.keeper.adopt, side.settings.name

            async def noted(expansion, adopt=adopt, name=name):  # type: ignore[no-untyped-def]
                order.append(name)
                return await adopt(expansion)

            side.director.keeper.adopt = noted  # type: ignore[method-assign]
        await pair.one.accept(changed(2))
        assert order == ["righty", "lefty"]


async def test_an_accept_does_not_wait_for_a_director_that_was_slow_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.one.be("active")
        pair.one.way.holds = asyncio.Event()
        first, second = await pair.one.accept(changed(2)), await pair.one.accept(changed(3))
        assert isinstance(first, Receipt)
        assert isinstance(second, Receipt)
        assert first.peer is not None
        assert second.peer is not None
        assert first.peer.state == "pushing"
        assert 0.19 < first.peer.waited_s < 1.0
        assert second.peer.waited_s < 0.1
        pair.one.way.holds.set()
        await pair.settle("in_step")
        pair.one.way.holds = None
        await pair.one.accept(changed(4))
        await pair.settle("in_step")
        monkeypatch.setattr(sync, "STANDBY_FIRST_S", 20.0)  # it is waited for again, and this machine may be busy
        third = await pair.one.accept(changed(5))
        assert isinstance(third, Receipt)
        assert third.peer is not None
        assert third.peer.state == "applied"


async def test_a_director_that_is_away_is_behind_by_so_many_and_gets_them_all_when_it_is_back(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.cut()
        for number in range(2, 7):
            receipt = await pair.one.accept(changed(number))
            assert isinstance(receipt, Receipt)
            assert receipt.peer is not None
            assert receipt.peer.waited_s < 0.25
        await eventually(lambda: not pair.one.director.sync.machine.reachable)
        info = await pair.one.ask(pair.one.client.sync)
        assert (info.state, info.behind, info.equal) == ("behind", 5, False)
        assert "behind by 5 (no route to host)" in info.words
        pair.mend()
        await pair.settle("in_step")
        assert pair.two.text() == changed(6)
        assert (await pair.two.ask(pair.two.client.history)).total == 6


async def test_500_accepts_in_a_row_end_in_step(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        for number in range(2, 502):
            await pair.one.accept(changed(number))
        await pair.settle("in_step")
        await eventually(pair.whole, pair.words)
        assert pair.two.text() == changed(501)
        assert (await pair.two.ask(pair.two.client.history)).total == 501


async def diverge(pair: Both) -> None:
    await pair.settle("in_step")
    pair.cut()
    await pair.one.accept(changed(2, PAIR.replace("weight = 1", "weight = 5", 1)))
    await pair.two.accept(changed(2, PAIR.replace("scheduler = rr", "scheduler = wlc")))
    pair.mend()
    await pair.settle("diverged")
    await eventually(lambda: pair.one.director.sync.conflict() is not None and pair.two.director.sync.conflict() is not None)


async def test_edited_on_both_is_said_on_both_and_neither_is_overwritten(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await diverge(pair)
        assert "weight = 5" in pair.one.text()
        assert "wlc" in pair.two.text()
        for side in (pair.one, pair.two):
            state = await side.ask(side.client.state)
            assert [one.severity for one in state.alerts if one.code == "diverged"] == ["error"]
        found = await pair.one.ask(pair.one.client.conflict)
        assert found is not None
        assert found.base.text.decode() == PAIR
        assert found.here.text.decode() == pair.one.text()
        assert found.there.text.decode() == pair.two.text()
        assert (found.here.node, found.there.node) == ("lefty", "righty")


async def test_a_text_that_joins_both_is_what_both_have_then(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await diverge(pair)
        found = await pair.two.ask(pair.two.client.conflict)
        assert found is not None
        merged = changed(3, PAIR.replace("weight = 1", "weight = 5", 1).replace("scheduler = rr", "scheduler = wlc"))
        await pair.two.accept(merged, joins=found.there.head)
        await pair.settle("in_step")
        assert pair.one.text() == pair.two.text() == merged
        assert await pair.one.ask(pair.one.client.conflict) is None
        newest = (await pair.one.ask(pair.one.client.history, limit=1)).revisions[0]
        assert (newest.other_parent, newest.node) == (found.there.head, "righty")


async def test_a_text_that_joins_an_older_head_is_refused(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await diverge(pair)
        found = await pair.one.ask(pair.one.client.conflict)
        assert found is not None
        await pair.two.accept(changed(7))
        pair.mend()
        await eventually(lambda: (now := pair.one.director.sync.conflict()) is not None and now.there.serial == 7)
        with pytest.raises(AgentRefused, match="another one by now"):
            await pair.one.accept(changed(8), joins=found.there.head)


async def test_the_same_edit_on_both_becomes_one_history_by_itself(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.cut()
        await pair.one.accept(changed(2))
        await pair.two.accept(changed(2))
        pair.mend()
        await pair.settle("in_step")
        await eventually(pair.whole, pair.words)


async def test_an_edit_by_hand_over_there_is_never_overwritten(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        by_hand = PAIR + "# by hand\n"
        pair.two.lvs_cf.write_text(by_hand)
        await pair.one.accept(changed(2))
        await pair.settle("diverged")
        assert pair.two.text() == by_hand
        assert pair.one.text() == changed(2)


async def test_an_edit_by_hand_with_errors_over_there_is_left_and_the_reason_said(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        wrong = PAIR.replace("scheduler = rr", "scheduler = nonsense")
        pair.two.lvs_cf.write_text(wrong)
        await pair.one.accept(changed(2))
        await eventually(lambda: pair.one.director.sync.state == "refused")
        assert pair.two.text() == wrong
        assert "on righty" in pair.one.director.sync.words()
        info = await pair.two.ask(pair.two.client.sync)
        assert [one.actions for one in info.differences if one.code == "file"] == [["adopt", "restore"]]
        with pytest.raises(AgentRefused, match="cannot be applied"):
            await pair.two.ask(pair.two.client.sync_action, "adopt")
        nobody = AgentClient(pair.two.settings.agent_socket)
        await pair.two.ask(nobody.sync_action, "restore")
        assert pair.two.text() == PAIR
        told = (await pair.two.ask(pair.two.client.events)).events
        assert [event.actor for event in told if "restored what runs" in event.message] == [pwd.getpwuid(os.getuid()).pw_name]


async def test_a_clock_that_is_a_day_off_matters_to_nothing(tmp_path: Path) -> None:
    async with both(tmp_path, off_s=-86_400.0) as pair:
        await pair.settle("in_step")
        await pair.two.accept(changed(2))
        await pair.settle("in_step")
        await pair.one.accept(changed(3))
        await pair.settle("in_step")
        assert pair.one.text() == pair.two.text() == changed(3)


async def test_a_host_key_that_has_changed_is_said_with_the_words_of_the_way(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.one.way.refuses = "its host key is SHA256:bbb, not SHA256:aaa"
        await pair.one.accept(changed(2))
        await eventually(lambda: pair.one.director.sync.state == "refused")
        info = await pair.one.ask(pair.one.client.sync)
        assert "SHA256:bbb, not SHA256:aaa" in info.words
        assert pair.two.text() == PAIR


async def test_a_review_shows_what_it_would_do_on_the_other_director(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        etag = (await pair.one.ask(pair.one.client.config)).etag
        text = changed(2, PAIR.replace("scheduler = rr", "scheduler = wlc"))
        receipt = await pair.one.ask(pair.one.client.put_config, text, if_match=etag, dry_run=True)
        assert receipt.peer_plan is not None
        assert receipt.peer_plan.node == "righty"
        assert "scheduler rr → wlc" in [step.detail for step in receipt.peer_plan.steps]
        pair.cut()
        receipt = await pair.one.ask(pair.one.client.put_config, text, if_match=etag, dry_run=True)
        assert receipt.peer_plan is not None
        assert receipt.peer_plan.words == "no route to host"


async def test_over_a_restart_it_is_still_known_how_far_the_other_one_is_behind(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.cut()
        await pair.one.accept(changed(2))
        await pair.one.end()
        await pair.one.start()
        await eventually(lambda: pair.one.director.sync.machine.trouble != "")
        assert (pair.one.director.sync.state, pair.one.director.sync.machine.behind) == ("behind", 1)


async def test_the_other_director_has_only_so_many_requests_at_once(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        path, head = str(pair.one.settings.agent_socket), b"POST /v1/peer HTTP/1.1\r\nHost: agent\r\nContent-Length: 2\r\n\r\n"
        held = [await asyncio.open_unix_connection(path) for _ in range(PEER_AT_ONCE)]
        for _reader, writer in held:
            writer.write(head)  # and the body some other time
            await writer.drain()

        async def answers(expected: bytes) -> None:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(head + b"{}")
            assert (await reader.readline()).split(b" ")[1] == expected
            writer.close()

        await answers(b"503")
        for reader, writer in held:
            writer.write(b"{}")
            await reader.readline()
        await answers(b"200")
        for _reader, writer in held:
            writer.close()


async def test_a_long_comment_of_the_agents_own_does_not_keep_a_change_from_the_other_director(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        etag = pair.one.director.etag
        await pair.one.director.put(Write(changed(2).encode(), etag, comment="guard: " + "x" * 600, actor="guard", origin="guard"))
        await pair.settle("in_step")
        assert pair.two.text() == changed(2)


async def test_an_answer_to_nonsense_is_a_refusal_and_touches_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        for nonsense in (
            b"",
            b"{}",
            b"\xff",
            b'{"type":"push","revisions":[],"expected":""}',
            b'{"type":"agent.toml"}',
            b'{"type":"release"}',
            b'{"type":"release","key":"http/nobody","actor":"eve"}',
            b'{"type":"release","key":"%s","actor":"eve"}' % (b"x" * 501),
        ):
            answer = msgspec.json.decode(await pair.two.director.sync.answer(nonsense))
            assert answer["type"] == "refused"
        assert pair.two.text() == PAIR


async def test_foreign_virtual_servers_are_offered_as_blocks_of_an_lvs_cf(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        key = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.101", 25)
        await pair.one.plane.apply([AddService(key, Service("wrr")), AddServer(key, ServerKey("127.0.0.31", 25), Server(5))])
        await pair.one.director.step()
        info = await pair.one.ask(pair.one.client.sync)
        assert [(one.code, one.actions) for one in info.differences] == [("foreign", ["adopt-foreign"])]
        assert info.equal
        (block,) = load(await pair.one.ask(pair.one.client.foreign_text)).config.virtual
        assert (block.name, block.scheduler, [(one.address, one.weight) for one in block.servers]) == (
            "127.0.0.101-25",
            "wrr",
            [("127.0.0.31", 5)],
        )


async def test_a_table_that_somebody_emptied_shows_until_it_is_put_right(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        await pair.one.plane.apply([DeleteService(key) for key in pair.one.plane.table])
        await pair.one.director.keeper.look()
        info = await pair.one.ask(pair.one.client.sync)
        assert [(one.code, one.actions) for one in info.differences] == [("table", ["reconcile"])]
        info = await pair.one.ask(pair.one.client.sync_action, "reconcile")
        assert (info.equal, info.differences) == (True, [])
