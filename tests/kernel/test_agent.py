"""The whole agent on a real director: what lvs.cf says is what clients get, the kernel has and the state shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel.agent import Agent, lvs_cf, virtual

pytestmark = pytest.mark.kernel("cluster")

ARTICLE = lvs_cf(virtual())


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with lab.running() as running:
        yield running


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(ARTICLE) as running:
        yield running


def test_nat_hands_300_requests_round_100_each(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    assert cluster.names(300) == dict.fromkeys(lab.NUMBERS, 100)
