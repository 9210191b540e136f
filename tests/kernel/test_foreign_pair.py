"""The two keepalived.conf of one lvs.cf, one on each director: one role, one table, and clients served through a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from app.lvscf import load
from app.lvscf.foreign import Node, export_keepalived
from tests.kernel import cluster as lab
from tests.kernel import two_directors
from tests.kernel.keepalived_pair import KeepalivedPair
from tests.kernel.two_directors import lvs_cf
from tests.waiting import until

pytestmark = pytest.mark.kernel("foreign")

LIMIT_S = 40.0
NODES: dict[str, Node] = {"lefty": "primary", "righty": "backup"}
TEXT = lvs_cf("syncdaemon = 1", "syncd_iface = eth0").replace("= 0.1\ndeadtime = 0.3", "= 0.5\ndeadtime = 1.5")


@pytest.fixture
def cluster() -> Iterator[lab.Cluster]:
    with two_directors.running() as running:
        yield running


def served(cluster: lab.Cluster) -> bool:
    """Whether a client gets an answer."""
    with contextlib.suppress(OSError):
        return cluster.fetch().startswith(b"number")
    return False


def test_exactly_one_director_serves_and_the_other_takes_over(cluster: lab.Cluster) -> None:
    config = load(TEXT).config
    both = KeepalivedPair(1)
    try:
        for director in both:
            (director.folder / "conf").write_text(export_keepalived(config, NODES[director.director]).text)
            director.start()
        both.settle()
        assert cluster.names(9) == dict.fromkeys(lab.NUMBERS, 3)
        active = both.active
        assert two_directors.holders(lab.NAT_ROUTER) == [active.director]
        two_directors.cut(active.director, *two_directors.BRIDGES)
        active.kill_all()
        until(lambda: set(two_directors.holders(lab.VIP)) - {active.director}, LIMIT_S)
        until(lambda: served(cluster), LIMIT_S)
    finally:
        both.close()
