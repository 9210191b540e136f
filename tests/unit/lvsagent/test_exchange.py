"""The conversation between two halves: a long absence comes in several messages, each within its bound, and every text arrives."""

from __future__ import annotations

import pytest

from lvsagent.core.lineage import Relation
from lvsagent.core.sync import Answered, NotTaken
from lvsagent.lvsd import exchange
from tests.fakes.peer import FakePeer
from tests.unit.lvsagent.sync_half import Half

ROOM_BYTES = 1000
MANY = 40


class Pair:
    """lefty has been edited ``MANY`` times since righty last heard of it; ``way`` leads from the one to the other."""

    def __init__(self) -> None:
        self.lefty, self.righty = Half("lefty", lambda: 1e9), Half("righty", lambda: 1e9)
        self.there, self.back = FakePeer(self.righty.exchange.answer), FakePeer(self.lefty.exchange.answer)

    def edit(self, half: Half, first: int, count: int = MANY) -> None:
        for serial in range(first, first + count):
            half.edit(f"serial_no = {serial}\n# {'x' * 200}\n", actor=half.node)

    def same(self) -> None:
        assert self.lefty.text == self.righty.text
        assert self.lefty.head == self.righty.head
        assert self.texts(self.lefty) == self.texts(self.righty)

    @staticmethod
    def texts(half: Half) -> dict[str, bytes | None]:
        return {one.revision.id: half.store.text(one.revision.etag) for one in half.store.newest(1000)}


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(exchange, "TEXTS_BYTES", ROOM_BYTES)
    pair = Pair()
    pair.edit(pair.lefty, 1, 1)
    await pair.lefty.exchange.greet(pair.there)
    await pair.lefty.exchange.push(pair.there)
    await pair.righty.exchange.greet(pair.back)
    pair.same()
    for way in (pair.there, pair.back):
        way.asked.clear()
    return pair


async def test_a_push_of_more_than_one_message_holds_comes_in_several_and_is_followed_with_the_last(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)
    followed: list[str] = []
    pair.there.there = noting(pair.righty, followed)
    event = await pair.lefty.exchange.push(pair.there)
    assert isinstance(event, Answered)
    assert event.relation is Relation.IN_STEP
    pair.same()
    assert len(pair.there.asked) > MANY * 200 // ROOM_BYTES
    assert max(map(len, pair.there.asked)) < 2 * ROOM_BYTES + 6 * 600
    assert len(set(followed)) == 2


def noting(half: Half, texts: list[str]):  # type: ignore[no-untyped-def]
    """What it has as its lvs.cf after each message."""

    async def carry(line: bytes) -> bytes:
        answer = await half.exchange.answer(line)
        texts.append(half.text)
        return answer

    return carry


async def test_so_does_what_is_fetched(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)
    event = await pair.righty.exchange.fetch(pair.back)
    assert isinstance(event, Answered)
    assert event.relation is Relation.IN_STEP
    pair.same()
    assert len(pair.back.asked) > 5


async def test_and_what_is_fetched_to_be_kept_on_a_parted_line(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)
    pair.edit(pair.righty, 100, 1)
    event = await pair.righty.exchange.fetch(pair.back)
    assert isinstance(event, Answered)
    assert (event.relation, event.kept) == (Relation.DIVERGED, True)
    assert pair.texts(pair.lefty).items() <= pair.texts(pair.righty).items()


async def test_not_more_than_so_many_revisions_come_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TEXTS_BYTES", 10**9)
    monkeypatch.setattr(exchange, "MOST_IN_ONE", 3)
    pair.edit(pair.lefty, 2)
    await pair.lefty.exchange.push(pair.there)
    assert len(pair.there.asked) == -(-MANY // 3)
    pair.same()


async def test_a_director_that_has_no_history_yet_gets_a_long_one_too(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)
    for receives in (pair.there, pair.back):
        pair.righty = Half("righty", lambda: 1e9)
        pair.there.there = pair.righty.exchange.answer
        await pair.righty.exchange.greet(pair.back)
        await pair.lefty.exchange.greet(pair.there)
        await (pair.lefty.exchange.push(receives) if receives is pair.there else pair.righty.exchange.fetch(receives))
        pair.same()


@pytest.mark.parametrize("lost", [1, 2, 5])
async def test_one_that_breaks_off_in_between_is_begun_again_and_loses_nothing(pair: Pair, lost: int) -> None:
    pair.edit(pair.lefty, 2)
    before = pair.righty.text
    pair.there.loses_answers = lost
    for _ in range(lost):
        await pair.lefty.exchange.push(pair.there)
        assert pair.righty.text == before
        pair.righty.begin_again()
        pair.there.there = pair.righty.exchange.answer
    await pair.lefty.exchange.push(pair.there)
    pair.same()


async def test_an_edit_over_there_in_between_parts_them_and_nothing_is_overwritten(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)

    async def carry(line: bytes) -> bytes:
        if len(pair.there.asked) == 3:
            pair.edit(pair.righty, 200, 1)
        return await pair.righty.exchange.answer(line)

    pair.there.there = carry
    event = await pair.lefty.exchange.push(pair.there)
    assert isinstance(event, Answered)
    assert event.relation is Relation.DIVERGED
    assert pair.righty.text.startswith("serial_no = 200\n")


async def test_one_that_sends_the_same_again_and_again_is_not_asked_for_ever(pair: Pair) -> None:
    pair.edit(pair.lefty, 2)
    first: list[bytes] = []

    async def carry(line: bytes) -> bytes:
        if not first:
            first.append(await pair.lefty.exchange.answer(line))
        return first[0]

    event = await pair.righty.exchange.fetch(FakePeer(carry))
    assert isinstance(event, NotTaken)
    assert "again and again" in event.words
