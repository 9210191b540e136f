"""Two directors, edits on either at any time, a way that loses what it likes, restarts, a clock a day off: what always holds.

Deterministic: a history is a seed.  The machines and the conversation are the real ones; time and the way between them are not.
"""

from __future__ import annotations

import os
import random

import pytest

from lvsagent.core.revisions import ancestors
from lvsagent.core.sync import Asked, Command, Event, Heard, Moved, Paired, SyncMachine, Tick, Told
from lvsagent.lvsd import exchange
from tests.fakes.peer import FakePeer
from tests.unit.lvsagent.sync_half import Half

SEEDS = int(os.environ.get("SYNC_SEEDS", "150"))
STEP_S = 0.05


@pytest.fixture(autouse=True)
def _short_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three revisions lacking are two messages already, and anything may happen between them."""
    monkeypatch.setattr(exchange, "MOST_IN_ONE", 2)


class Side:
    """One director: its half, its machine, the way to the other."""

    def __init__(self, node: str, world: World, clock_off_s: float) -> None:
        self.world = world
        self.half = Half(node, lambda: 1_790_000_000.0 + world.now + clock_off_s)
        self.machine = SyncMachine()
        self.way = FakePeer()
        self.commands: list[Command] = []
        self.heads: set[str] = set()
        self.sent = 0

    def feed(self, event: Event) -> None:
        self.commands.extend(self.machine.handle(event, self.world.now))

    def moved(self) -> None:
        try:
            answered = self.half.exchange.compared()
        except LookupError:
            answered = None
        self.feed(Moved(self.half.head, answered.relation if answered else None, answered.behind if answered else 0))

    def restart(self) -> None:
        self.half.begin_again()
        self.machine, self.commands = SyncMachine(), []
        self.feed(Paired(yes=True))
        self.moved()

    async def answer(self, line: bytes) -> bytes:
        answer = await self.half.exchange.answer(line)
        self.moved()
        told = self.half.exchange.compared()
        self.feed(Told(told.theirs, told.relation, told.behind, told.kept))
        return answer

    async def run(self) -> None:
        """As ``lvsd.sync`` does: one conversation, then what follows from it."""
        self.feed(Tick())
        if not self.commands:
            return
        command = self.commands.pop(0)
        self.sent += command is not Command.GREET
        talk = self.half.exchange
        if command is Command.JOIN:
            event = await talk.join()
        else:
            event = await {Command.GREET: talk.greet, Command.PUSH: talk.push, Command.FETCH: talk.fetch}[command](self.way)
        self.moved()
        self.feed(event)


class World:
    """Both of them, and a second hand."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- the same history for the same seed
        self.now = 0.0
        self.one = Side("lefty", self, 0.0)
        self.two = Side("righty", self, self.random.choice([0.0, -86_400.0, 86_400.0]))
        self.one.way.there, self.two.way.there = self.two.answer, self.one.answer
        self.serial = 0
        self.made: set[str] = set()
        for side in (self.one, self.two):
            if self.random.random() < 0.7:
                self.made.add(side.half.edit("serial_no = 1\n" if self.random.random() < 0.5 else f"serial_no = 1\n# {side.half.node}\n"))
            side.restart()

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.one, self.two

    def edit(self, side: Side) -> None:
        self.serial += 1
        self.made.add(
            side.half.edit(f"serial_no = {self.serial + 1}\n# {side.half.node} {self.serial if self.random.random() < 0.8 else ''}\n")
        )
        side.moved()

    def disturb(self) -> None:
        """Something happens, or nothing."""
        side = self.random.choice(self.sides)
        dice = self.random.random()
        if dice < 0.10:
            self.edit(side)
        elif dice < 0.14:
            down = "" if side.way.down else "no route to host"
            side.way.down = down
            if self.random.random() < 0.7:
                self.other(side).way.down = down
        elif dice < 0.19:
            side.way.loses_answers = self.random.randint(1, 2)
        elif dice < 0.21:
            side.restart()
        elif dice < 0.23:
            side.half.full = not side.half.full
        elif dice < 0.30:
            side.feed(Heard(alive=not side.way.down, serial=self.serial))

    def other(self, side: Side) -> Side:
        return self.two if side is self.one else self.one

    async def step(self) -> None:
        self.now += STEP_S * self.random.choice([1, 1, 1, 20])
        for side in self.random.sample(self.sides, 2):
            await side.run()

    def heal(self) -> None:
        for side in self.sides:
            side.way.down, side.way.loses_answers, side.half.full = "", 0, False
            side.feed(Heard(alive=True, serial=-1))
            side.feed(Asked())

    def check(self) -> None:
        """Nothing is overwritten: what was ever the head of a director is part of its history, and its file is its head's text."""
        for side in self.sides:
            head, etag = side.half.exchange.head()
            side.heads.add(head)
            assert side.heads - {""} <= ancestors(side.half.exchange.parents, head)
            if head:
                assert side.half.store.text(etag) == side.half.text.encode()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_after_it_heals_both_have_one_head_or_both_say_diverged_and_nothing_is_lost(seed: int) -> None:
    world = World(seed)
    for _ in range(120):
        world.disturb()
        await world.step()
        world.check()
    world.heal()
    for _ in range(60):
        await world.step()
        world.check()
    one, two = world.sides
    known = {each for side in world.sides for each in side.half.exchange.parents}
    assert world.made <= known
    if one.half.head == two.half.head:
        assert one.half.text == two.half.text
        assert {one.machine.state, two.machine.state} == {"in_step"}
    else:
        assert {one.machine.state, two.machine.state} == {"diverged"}
        assert one.half.head in two.half.exchange.parents  # each keeps what the other has
        assert two.half.head in one.half.exchange.parents
    sent = one.sent + two.sent
    for _ in range(200):
        await world.step()
    assert one.sent + two.sent == sent, "two that have nothing new to say go on pushing"


@pytest.mark.parametrize("seed", range(20))
async def test_one_that_joins_both_heads_is_what_both_have_then(seed: int) -> None:
    world = World(seed)
    for side in world.sides:
        side.way.down = "no route to host"
    world.edit(world.one)
    world.edit(world.two)
    world.heal()
    for _ in range(60):
        await world.step()
    if world.one.machine.state == "diverged":
        side = world.random.choice(world.sides)
        world.made.add(side.half.edit("serial_no = 99\n", other_parent=world.other(side).half.head))
        side.moved()
        for _ in range(20):
            await world.step()
    assert world.one.half.head == world.two.half.head
    assert {side.machine.state for side in world.sides} == {"in_step"}


async def test_a_push_follows_an_accept_within_a_second() -> None:
    world = World(1)
    for _ in range(40):
        await world.step()
    if world.one.machine.state == "diverged":
        world.one.half.edit("serial_no = 50\n", other_parent=world.two.half.head)
        world.one.moved()
        for _ in range(40):
            await world.step()
    for _ in range(50):
        accepted = world.now
        world.edit(world.random.choice(world.sides))
        while world.one.half.head != world.two.half.head and world.now - accepted < 5:
            world.now += STEP_S
            for each in world.sides:
                await each.run()
        assert world.one.half.head == world.two.half.head
        assert world.now - accepted <= 1.0
