"""What FakeAgent has of the real agent's safety: fingerprints of plans, large changes, and one guarded change, by the agent's own rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.lvscf import ip_of
from app.lvscf.model import Config
from lvsagent.client import AgentRefused, PlanGrown, Unconfirmed
from lvsagent.core.continuity import taken_out
from lvsagent.core.expansion import expand
from lvsagent.core.guard import Changed, Confirm, GoBack, Guard, Look, Returned, Revert, Watch
from lvsagent.core.plan_prints import fingerprint
from lvsagent.wire import GuardInfo, PlanStep, Receipt, TakeOutInfo


@dataclass
class FakeSafety:
    """``grows``: steps that join every plan from now on, as when servers come up between REVIEW and ACCEPT."""

    share: float = 0.5
    grows: list[PlanStep] = field(default_factory=list)
    machine: Guard | None = None
    _shown: dict[str, frozenset[str]] = field(default_factory=dict)

    def show(self, steps: Sequence[PlanStep]) -> str:
        lines = _lines(steps)
        self._shown[fingerprint(lines)] = lines
        return fingerprint(lines)

    def takes_out(self, before: Config, after: Config) -> TakeOutInfo | None:
        found = taken_out(expand(before, ip_of), expand(after, ip_of))
        if not found.large(self.share):
            return None
        return TakeOutInfo(
            token=found.token,
            virtual=list(found.virtual),
            real=list(found.real),
            virtual_count=len(found.virtual),
            virtual_total=found.virtual_total,
            real_count=len(found.real),
            real_total=found.real_total,
        )

    def check(self, now: Receipt, plan: str, confirm: str) -> None:
        """Raises PlanGrown, Unconfirmed; ``now`` is what a dry run says."""
        if plan and (more := _lines(now.steps) - self._shown.get(plan, frozenset())):
            raise PlanGrown(f"the plan has grown since it was shown, by {', '.join(sorted(more))}; nothing was written", now)
        if now.takes_out is not None and confirm != now.takes_out.token:
            names = ", ".join([*now.takes_out.virtual, *now.takes_out.real])
            raise Unconfirmed(f"this takes much out of service at once: {names}; nothing was written", now)

    # --- the guard ---

    def watch(self, watch: Watch) -> None:
        self.machine = Guard(watch)

    def look(self, etag: str, now: float, go_back: Callable[[str], tuple[str, int]], look: Look = Look()) -> None:  # noqa: B008 -- frozen
        """Time has gone on; ``go_back`` puts the previous text in force and returns its ETag and serial."""
        if self.machine is not None:
            self._follow(look if etag == self.machine.watch.etag else Changed(), now, go_back)

    def act(self, action: str, actor: str, etag: str, now: float, go_back: Callable[[str], tuple[str, int]]) -> GuardInfo:
        machine = self.machine
        if machine is None or machine.over or (etag and etag != machine.watch.etag):
            raise AgentRefused("not_found", "no such change is being watched")
        self._follow(Confirm(actor) if action == "confirm" else Revert(actor), now, go_back)
        info = self.info(now)
        assert info is not None
        return info

    def info(self, now: float) -> GuardInfo | None:
        if self.machine is None:
            return None
        one = self.machine.watch
        return GuardInfo(
            etag=one.etag,
            serial=one.serial,
            state=one.phase,
            began_at=one.began_at,
            deadline_at=one.deadline_at,
            left_s=max(one.deadline - now, 0.0) if not self.machine.over else 0.0,
            guard_s=one.guard_s,
            previous_serial=one.previous_serial,
            actor=one.actor,
            comment=one.comment,
            reason=one.reason,
            ended_at=one.ended_at,
            watched=["3 healthy real servers"],
        )

    def _follow(self, event: Look | Changed | Confirm | Revert, now: float, go_back: Callable[[str], tuple[str, int]]) -> None:
        assert self.machine is not None
        for command in self.machine.handle(event, now, now):
            if isinstance(command, GoBack):
                self.machine.handle(Returned(*go_back(command.reason)), now, now)


def _lines(steps: Sequence[PlanStep]) -> frozenset[str]:
    return frozenset(f"{step.action} {step.what} {step.name} {step.detail}" for step in steps)
