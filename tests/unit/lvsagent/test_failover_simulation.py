"""Thousands of bad days for two directors, and proof that the simulation would notice a machine that breaks its promises."""

from __future__ import annotations

from typing import Any

import pytest

from lvsagent.core.failover import Activate, Cause, Command, Event, Heard, Machine, Settings
from lvsagent.core.identity import ACTIVE
from tests.unit.lvsagent.simulation import MachineFactory, World, broken_promises, main

HISTORIES = 2000
BLOCKS = 5
FIRST_SEED = 0
"""`make bench` goes on where this ends."""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_promise_is_kept_in_thousands_of_histories(block: int) -> None:
    each = HISTORIES // BLOCKS
    for seed in range(FIRST_SEED + block * each, FIRST_SEED + (block + 1) * each):
        broken = broken_promises(seed)
        assert not broken, f"python -m tests.unit.lvsagent.simulation {seed} prints it: {broken[0]}"


def test_a_history_follows_from_its_seed() -> None:
    tellings = []
    for _ in range(2):
        lines: list[str] = []
        World(92, tell=lines.append).run()
        tellings.append(lines)
    assert tellings[0] == tellings[1]
    assert any("ACTIVE" in line for line in tellings[0])


def test_a_history_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["92"]) == 0
    printed = capsys.readouterr().out
    assert "everything is healed" in printed
    assert "every promise kept" in printed


# --- machines with one rule broken ---------------------------------------------------------------------------------------------


class NeverYields(Machine):
    def _both_active(self, peer: object) -> None:
        return None


class YieldsLate(Machine):
    """Thinks it over for two keepalive intervals before it yields."""

    _seen_at: float | None = None

    def _while_active(self) -> Any:
        verdict = super()._while_active()
        if verdict is None or verdict.cause is not Cause.BOTH_ACTIVE:
            self._seen_at = None
            return verdict
        self._seen_at = self._lived if self._seen_at is None else self._seen_at
        return verdict if self._lived - self._seen_at >= 2 * self.settings.keepalive_s else None


class Impatient(Machine):
    """Takes over after half the dead time."""

    def _peer_dead(self) -> bool:
        return self.peer.dead(self._lived + self.settings.deadtime_s / 2, self.settings.deadtime_s)


class Timid(Machine):
    """Does not take over from a silent peer."""

    def _peer_gone(self, peer: object) -> None:  # type: ignore[override]
        return None


class Forgetful(Machine):
    """Does not notice that it slept."""

    def _pass_time(self, now: float) -> None:
        super()._pass_time(now)
        self.confirmed = True
        self._awake_mark = 1


class Credulous(Machine):
    """Acts on words that were written before the peer knew what this director is."""

    def _peer_knows_us(self) -> bool:
        return True


class Restless(Machine):
    """Becomes active whenever it hears a peer, whatever the peer says."""

    def handle(self, event: Event, now: float) -> list[Command]:
        commands = super().handle(event, now)
        if isinstance(event, Heard) and self.role == "standby" and self._number % 50 == 0:
            self.role = ACTIVE
            commands.append(Activate(self.cause, "no cause at all"))
        return commands


class Selfish(Machine):
    """Goes by its own dead time alone, however rarely the other director speaks."""

    def _peer_dead(self) -> bool:
        return self._peer_left() or self.peer.silent_s(self._lived) >= self.settings.deadtime_s


class Hasty(Machine):
    """Told that there is a second director, it does not listen for it first."""

    def _configure(self, settings: Settings, now: float) -> None:
        since = self.peer._silent_since
        super()._configure(settings, now)
        self.peer._silent_since = since


class SetInItsWays(Machine):
    """Never notices that settings have changed."""

    def _configure(self, settings: Settings, now: float) -> None:
        pass


@pytest.mark.parametrize(
    "make",
    [NeverYields, YieldsLate, Impatient, Timid, Forgetful, Credulous, Restless, Selfish, Hasty, SetInItsWays],
    ids=lambda make: make.__name__,
)
def test_a_machine_with_one_rule_broken_is_found_out(make: MachineFactory) -> None:
    assert any(broken_promises(seed, make) for seed in range(600))
