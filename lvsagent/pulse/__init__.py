"""pulse: this director's role, its virtual addresses and their announcements.  It never waits for anything else."""

from lvsagent.pulse.run import main

__all__ = ["main"]
