"""When garbage is looked for: not while much is made, and not among what stays."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from lvsagent.garbage import THOROUGH_EVERY, settled, uncollected


class Knot:
    """Something that only a collection can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_in_the_block_and_everything_again_after_it() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled(), "the outer block still lasts"
    assert gc.isenabled()


def test_an_error_in_the_block_lets_collections_go_on() -> None:
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert gc.isenabled()


def test_where_collections_were_off_they_stay_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_what_is_settled_is_looked_through_no_more_and_freed_all_the_same() -> None:
    kept = [Knot()]
    settled()
    assert gc.get_freeze_count() > 0
    assert all(one is not kept for one in gc.get_objects())
    gone = weakref.ref(kept.pop())
    gc.collect()
    assert gone() is not None, "no collection looks there"
    for _ in range(THOROUGH_EVERY):
        settled()
    assert gone() is None, "but now and then"
