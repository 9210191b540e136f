"""What the lab's tests share: the article's cluster with one director, made anew for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel import cluster as lab


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    """In the guest; nothing of it is left afterwards."""
    with lab.running() as running:
        yield running
