"""Both directors active: whoever stays active learns that the other one has yielded, once."""

from __future__ import annotations

from lvsagent.core.failover import Machine
from lvsagent.core.failover_types import Settings
from lvsagent.core.identity import ACTIVE
from lvsagent.pulse.split import SplitWatch


def test_whoever_stays_active_announces_again_once_the_other_has_yielded() -> None:
    """The neighbours may have believed the other one, and would for a minute."""
    machine = Machine(Settings(), "boot")
    watch = SplitWatch(0.0, lambda *_words: None)
    machine.role = ACTIVE
    seen = []
    for both_since in (None, 5.0, 5.0, None, None):
        machine.both_active_since = both_since
        seen.append(watch.look(machine, None, 6.0, 0.0))
    assert seen == [False, False, False, True, False]
