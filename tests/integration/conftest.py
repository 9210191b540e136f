"""What several of these tests stand on: a director that asks, one with a real sshd that is asked, and a stand-in for the latter's agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lvsagent.adapters.peer_keys import PeerKeys
from tests.sshd import Sshd, StandIn, director, folder_for_sshd, pair, running_sshd, stand_in


@pytest.fixture
def righty() -> Iterator[Sshd]:
    with folder_for_sshd() as folder, running_sshd(folder) as found:
        yield found


@pytest.fixture
def lefty(tmp_path: Path, righty: Sshd) -> PeerKeys:
    """The director that asks, paired with righty."""
    _, keys = director(tmp_path / "lefty")
    pair(keys, righty.keys)
    return keys


@pytest.fixture
async def agent(righty: Sshd) -> AsyncIterator[StandIn]:
    async with stand_in(righty.settings.agent_socket) as found:
        yield found
