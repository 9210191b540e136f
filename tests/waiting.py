"""Waiting in tests: poll until a deadline, never sleep for a hoped-for time."""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic

PAUSE_S = 0.02


def until(condition: Callable[[], object], limit_s: float = 10, words: Callable[[], str] | str = "the condition never held") -> None:
    """Return as soon as ``condition()`` holds.  Raises AssertionError with ``words`` after ``limit_s`` seconds."""
    deadline = monotonic() + limit_s
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(words() if callable(words) else words)
        select.select([], [], [], PAUSE_S)
