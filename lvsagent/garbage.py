"""When Python looks for garbage, and where: not while thousands of values are made that will all live on, nor among them afterwards.

Owns these switches and nothing else.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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

    Takes a whole collection's time itself, so it is for the rare moment after much has been made.  What was set aside before and has
    become garbage since is found.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
