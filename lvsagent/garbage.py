"""When Python looks for garbage, and where: not while thousands of values are made that will all live on, nor among them afterwards.

Owns these switches and nothing else.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 1
"""The generations of what was made last."""
THOROUGH_EVERY = 20

_times = itertools.count(1)


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection until the end of the block: each one would look through all that has been made so far, and find nothing.

    For blocks of a second or so.  Two at once, in two threads: the first to end lets the collections go on.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def settled() -> None:
    """What has been made until now will live for long: let no collection look through it again.

    Now and then what was set aside before is looked through after all: a little of it may have become garbage that only a collection
    finds.
    """
    if next(_times) % THOROUGH_EVERY == 0:
        gc.unfreeze()
        gc.collect()
    else:
        gc.collect(YOUNG)
    gc.freeze()
