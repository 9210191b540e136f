"""Reading a large file without the garbage collector looking over every line again and again.

What the parser and the reader make has no cycles and all stays alive, so the collector would find nothing; its repeated passes over a
growing tree are what would make reading grow faster than the file.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` with automatic collection off; whoever turned it off turns it on again, also with several threads at it."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        was_on = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if was_on:
                gc.enable()

    return run
