"""Two directors on two networks: paired by a code over the one, and one way to the other as long as either of the two is whole."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.ports import PeerUnreachable
from tests.kernel import net, two_directors
from tests.sshd import SSH_OPTIONS, USER, Sshd, director, folder_for_sshd, needs_sshd, running_sshd, stand_in

pytestmark = [pytest.mark.kernel("pairing"), needs_sshd]

LVSCTL = str(Path(sys.executable).with_name("lvsctl"))
LIMIT_S = 60
PUBLIC, PRIVATE = "192.0.2.12", "10.11.12.12"


@dataclass
class Both:
    """lefty asks, righty has sshd; both know lvs.cf, and not yet each other."""

    lefty: PeerKeys
    righty: Sshd

    def lvsctl(self, name: str, *words: str) -> subprocess.Popen[str]:
        """One director's lvsctl."""
        keys = self.lefty if name == "lefty" else self.righty.keys
        argv = [LVSCTL, *words, "--config", str(keys.folder.parents[1] / "agent.toml")]
        with net.namespace(name):
            return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    Path("/run").chmod(0o755)  # the guest's own, which sshd would not trust otherwise
    with contextlib.ExitStack() as stack:
        stack.enter_context(two_directors.running())
        left, right = (stack.enter_context(folder_for_sshd()) for _ in range(2))
        _, lefty = director(left)
        with net.namespace("righty"):
            righty = stack.enter_context(running_sshd(right, (PUBLIC, PRIVATE), 22))
        for folder in (left, right):
            (folder / "lvs.cf").write_text(two_directors.lvs_cf())
        yield Both(lefty, righty)


@pytest.fixture(scope="module")
def paired(both: Both) -> Both:
    """By lvsctl, over the public network."""
    waiting = both.lvsctl("lefty", "pair", "--wait")
    assert waiting.stdout
    waiting.stdout.readline()
    command = waiting.stdout.readline().split()
    assert command[:3] == ["lvsctl", "pair", "192.0.2.11"]
    joining = both.lvsctl("righty", *command[1:])
    for process in (joining, waiting):
        _, words = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, words
    return both


@pytest.fixture
async def peer(paired: Both) -> AsyncIterator[SshPeer]:
    """lefty's way to righty, whose agent says back what it is asked.  Its thread stays in the namespace where it was started."""
    found = SshPeer(paired.lefty)
    async with stand_in(paired.righty.settings.agent_socket):
        with net.namespace("lefty"):
            assert await found.ask(b"[0]", LIMIT_S) == b"[0]"
        yield found
        await found.close()


def test_each_learns_both_addresses_of_the_other_from_lvs_cf(paired: Both) -> None:
    assert paired.lefty.peer().introduction.addresses == (PUBLIC, PRIVATE)
    assert paired.righty.keys.peer().introduction.addresses == ("192.0.2.11", "10.11.12.11")
    assert 'from="192.0.2.11,10.11.12.11"' in paired.righty.settings.authorized_keys.read_text()


async def test_a_cut_network_moves_the_way_to_the_other_one_and_both_cut_are_said_in_time(peer: SshPeer) -> None:
    two_directors.cut("righty", "pub")
    try:
        with pytest.raises(PeerUnreachable):
            await peer.ask(b"[2]", 1)
        assert await peer.ask(b"[3]", LIMIT_S) == b"[3]"
        two_directors.cut("righty", "priv")
        began = monotonic()
        with pytest.raises(PeerUnreachable):
            await peer.ask(b"[4]", 1)
        with pytest.raises(PeerUnreachable):
            await peer.ask(b"[5]", 8)
        assert monotonic() - began < 15
    finally:
        two_directors.heal("righty")
    assert await peer.ask(b"[6]", LIMIT_S) == b"[6]"


def test_the_key_is_worth_nothing_on_another_host_of_the_network(paired: Both) -> None:
    argv = ["ssh", "-F", "none", "-i", str(paired.lefty.private_key), *SSH_OPTIONS, f"{USER}@{PUBLIC}", "lvsagent-sync 1"]
    with net.namespace("client"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    assert "Permission denied" in done.stderr
    with net.namespace("lefty"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
