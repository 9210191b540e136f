"""Two directors over a real sshd: what the way between them carries, and what it refuses."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import paramiko
import pytest
from aiohttp import web

from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.core.introduction import fingerprint
from lvsagent.ports import PeerRefused, PeerUnreachable
from tests.sshd import AT, Sshd, StandIn, director, needs_sshd, pair, stand_in
from tests.waiting import until

pytestmark = [pytest.mark.root, needs_sshd]


@pytest.fixture
async def peer(lefty: PeerKeys) -> AsyncIterator[SshPeer]:
    found = SshPeer(lefty)
    yield found
    await found.close()


async def test_a_push_arrives_whole_at_the_agent_and_its_answer_comes_back(peer: SshPeer, agent: StandIn) -> None:
    assert await peer.ask(b'{"push": 1}', 10) == b'{"push": 1}'
    assert agent.asked == [b'{"push": 1}']


async def test_500_asks_in_a_row_use_one_connection_and_take_milliseconds(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    await peer.ask(b"{}", 10)
    began = monotonic()
    for number in range(500):
        assert await peer.ask(b'{"n": %d}' % number, 10) == b'{"n": %d}' % number
    took_ms = (monotonic() - began) / 500 * 1000
    print(f"{took_ms:.1f} ms each")
    assert took_ms < 100
    assert righty.log.count("Accepted publickey") == 1


@pytest.mark.parametrize("tool", ["ssh", "rsync"])
async def test_an_lvs_cf_of_12_mb_crosses_within_seconds(peer: SshPeer, agent: StandIn, tool: str) -> None:
    peer.use(tool)
    await peer.ask(b"{}", 10)
    body = b'{"text": "%s"}' % (b"     server number1 {\\n" * (12 * 1024 * 1024 // 23))
    began = monotonic()
    assert await peer.ask(body, 30) == body
    print(f"{len(body) / 1e6:.1f} MB there and back by {tool} in {monotonic() - began:.2f} s")
    assert agent.asked[-1] == body


async def test_rsync_is_debians_own_over_the_same_key_and_leaves_one_file(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    peer.use("rsync")
    for number in range(3):
        body = b'{"n": %d, "text": "%s"}' % (number, b"x" * 100_000)
        assert await peer.ask(body, 20) == body
    assert [path.name for path in righty.settings.inbox.iterdir()] == ["request"]
    assert (righty.settings.inbox / "request").stat().st_mode & 0o077 == 0


async def test_rsh_is_refused_before_anything_is_sent(peer: SshPeer, agent: StandIn) -> None:
    peer.use("rsh")
    with pytest.raises(PeerRefused, match="rsh is not used"):
        await peer.ask(b"{}", 5)
    assert agent.asked == []


async def test_a_changed_host_key_is_refused_with_both_fingerprints(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    pinned = fingerprint(righty.keys.own_host_key())
    righty.stop()
    righty.new_host_key()
    righty.start()
    with pytest.raises(PeerRefused) as caught:
        await peer.ask(b"{}", 10)
    assert pinned in str(caught.value)
    assert fingerprint(righty.keys.own_host_key()) in str(caught.value)
    assert "nothing was sent" in str(caught.value)
    assert "Accepted" not in righty.log


async def test_a_host_key_that_changes_under_an_open_connection_is_found_at_the_next_one(
    peer: SshPeer, agent: StandIn, righty: Sshd
) -> None:
    await peer.ask(b"{}", 10)
    righty.stop()
    righty.new_host_key()
    righty.start()
    with pytest.raises((PeerRefused, PeerUnreachable)):
        await peer.ask(b"{}", 10)
    with pytest.raises(PeerRefused, match=r"SHA256:.*SHA256:"):
        await peer.ask(b"{}", 10)
    assert len(agent.asked) == 1


async def test_rsync_refuses_a_changed_host_key_too_with_both_fingerprints(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    """The key changes while a session is open: rsync makes a connection of its own."""
    peer.use("rsync")
    await peer.ask(b"{}", 10)
    pinned = fingerprint(righty.keys.own_host_key())
    listener = righty.process
    assert listener is not None
    listener.kill()  # the session stays
    listener.wait()
    righty.new_host_key()
    righty.start()
    with pytest.raises(PeerRefused) as caught:
        await peer.ask(b"x" * 100_000, 10)
    assert pinned in str(caught.value)
    assert fingerprint(righty.keys.own_host_key()) in str(caught.value)
    assert "nothing was sent" in str(caught.value)
    assert agent.asked == [b"{}"]


async def test_a_director_that_is_not_paired_says_so(tmp_path: Path) -> None:
    _, keys = director(tmp_path / "lonely")
    peer = SshPeer(keys)
    with pytest.raises(PeerRefused, match="not paired"):
        await peer.ask(b"{}", 5)
    await peer.close()


async def test_a_key_that_the_other_director_does_not_know_is_refused(peer: SshPeer, lefty: PeerKeys, agent: StandIn, righty: Sshd) -> None:
    lefty.install_key(*lefty.fresh_key())
    with pytest.raises(PeerRefused, match="does not take this director's key"):
        await peer.ask(b"{}", 10)
    assert agent.asked == []


async def test_the_key_is_good_from_the_other_directors_addresses_only(
    peer: SshPeer, lefty: PeerKeys, agent: StandIn, righty: Sshd
) -> None:
    righty.keys.keep(lefty.introduce("lefty", ("192.0.2.7",)), AT)
    with pytest.raises(PeerRefused, match="does not take this director's key"):
        await peer.ask(b"{}", 10)
    assert "192.0.2.7" in righty.settings.authorized_keys.read_text()


async def test_the_second_address_is_tried_when_the_first_does_not_answer(
    peer: SshPeer, lefty: PeerKeys, agent: StandIn, righty: Sshd
) -> None:
    lefty.keep(righty.keys.introduce("righty", ("127.0.0.9", "127.0.0.1")), AT)
    assert await peer.ask(b"{}", 10) == b"{}"


async def test_no_sshd_is_unreachable_and_names_every_address(peer: SshPeer, righty: Sshd) -> None:
    righty.stop()
    with pytest.raises(PeerUnreachable, match=rf"127\.0\.0\.1 port {righty.port}: connection refused"):
        await peer.ask(b"{}", 5)


async def test_an_sshd_that_says_nothing_costs_no_more_than_the_time_given(peer: SshPeer, lefty: PeerKeys, righty: Sshd) -> None:
    righty.stop()
    with socket.create_server(("127.0.0.1", righty.port)):
        began = monotonic()
        with pytest.raises(PeerUnreachable):
            await peer.ask(b"{}", 0.5)
        assert monotonic() - began < 2


GRANTED = 0
"""AUTH_SUCCESSFUL and OPEN_SUCCEEDED, which paramiko's types do not name."""


class Mute(paramiko.ServerInterface):
    """Lets everybody in, opens a session, and never says whether the command was begun."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return GRANTED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return GRANTED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.asked.set()
        self.released.wait()
        return False


async def test_an_sshd_that_falls_silent_before_the_command_has_begun_is_given_up_and_asked_again(
    peer: SshPeer, agent: StandIn, righty: Sshd
) -> None:
    righty.stop()
    mute = Mute()
    with socket.create_server(("127.0.0.1", righty.port)) as listener:

        def serve() -> None:
            connected, _ = listener.accept()
            transport = paramiko.Transport(connected)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(righty.folder / "host_key")))
            transport.start_server(server=mute)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        with pytest.raises(PeerUnreachable):
            await peer.ask(b"{}", 2)
        assert mute.asked.is_set()
    righty.start()
    try:
        assert await peer.ask(b"{}", 10) == b"{}"  # while the other one is silent still
    finally:
        mute.released.set()
        serving.join()


async def test_it_connects_again_by_itself_when_the_other_director_is_back(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    assert await peer.ask(b"{}", 10) == b"{}"
    righty.stop()
    with pytest.raises(PeerUnreachable):
        await peer.ask(b"{}", 5)
    righty.start()
    assert await peer.ask(b'{"back": 1}', 10) == b'{"back": 1}'


class Wire:
    """A way to righty's sshd that can be cut without a word, as a pulled plug does it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def lead(self, port: int) -> int:
        """Listens; everything goes on to ``port`` while the wire is whole."""
        self._target = port
        self._server = await asyncio.start_server(self._visitor, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _visitor(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self._target)
        for one, other in ((reader, to), (there, writer)):
            self._tasks.add(asyncio.create_task(self._carry(one, other)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("tool", ["ssh", "rsync"])
async def test_a_plug_that_is_pulled_costs_the_time_given_and_the_next_ask_goes_through_when_it_is_back(
    peer: SshPeer, agent: StandIn, lefty: PeerKeys, righty: Sshd, tool: str
) -> None:
    peer.use(tool)
    wire = Wire()
    port = await wire.lead(righty.port)
    lefty.keep(replace(righty.keys.introduce("righty", ("127.0.0.1",)), port=port), AT)
    body = b'{"big": "%s"}' % (b"x" * 500_000)
    assert await peer.ask(body, 20) == body
    wire.open.clear()
    for _ in range(2):
        began = monotonic()
        with pytest.raises(PeerUnreachable):
            await peer.ask(body, 0.5)
        assert monotonic() - began < 2
    wire.open.set()
    assert await peer.ask(b'{"back": 1}', 20) == b'{"back": 1}'
    await wire.close()


@pytest.mark.parametrize("tool", ["ssh", "rsync"])
async def test_ipv6_is_a_way_like_any_other(peer: SshPeer, lefty: PeerKeys, agent: StandIn, righty: Sshd, tool: str) -> None:
    pair(lefty, righty.keys, ("::1",))
    peer.use(tool)
    body = b'{"big": "%s"}' % (b"x" * 100_000)
    assert await peer.ask(body, 20) == body


async def test_an_sshd_killed_in_the_middle_of_a_transfer_is_said_and_the_next_ask_arrives_whole(
    peer: SshPeer, agent: StandIn, righty: Sshd
) -> None:
    reached = asyncio.Event()

    async def never(_body: bytes) -> web.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    agent.answer = never
    asking = asyncio.create_task(peer.ask(b'{"big": "%s"}' % (b"x" * 5_000_000), 20))
    await asyncio.wait_for(reached.wait(), 10)
    righty.stop()
    with pytest.raises(PeerUnreachable):
        await asking
    agent.answer = None
    righty.start()
    body = b'{"again": "%s"}' % (b"y" * 1_000_000)
    assert await peer.ask(body, 10) == body


async def test_a_slow_agent_is_given_up_in_time_and_its_late_answer_is_nobody_elses(peer: SshPeer, agent: StandIn) -> None:
    await peer.ask(b"{}", 10)
    slow = asyncio.Event()

    async def late(body: bytes) -> web.Response:
        await slow.wait()
        return web.Response(body=body)

    agent.answer = late
    began = monotonic()
    with pytest.raises(PeerUnreachable, match=r"did not answer within 0\.5 s"):
        await peer.ask(b'{"late": 1}', 0.5)
    assert monotonic() - began < 1.5
    agent.answer = None
    slow.set()
    assert await peer.ask(b'{"next": 2}', 10) == b'{"next": 2}'


async def test_one_that_waited_too_long_behind_another_does_not_cost_the_other_its_session(
    peer: SshPeer, agent: StandIn, righty: Sshd
) -> None:
    await peer.ask(b"{}", 10)
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(body: bytes) -> web.Response:
        reached.set()
        await go.wait()
        return web.Response(body=body)

    agent.answer = slow
    first = asyncio.create_task(peer.ask(b"[1]", 20))
    await asyncio.wait_for(reached.wait(), 10)
    with pytest.raises(PeerUnreachable, match="within"):
        await peer.ask(b"[2]", 0.2)
    go.set()
    assert await first == b"[1]"
    assert await peer.ask(b"[3]", 10) == b"[3]"
    assert agent.asked == [b"{}", b"[1]", b"[3]"]
    assert righty.log.count("Accepted publickey") == 1


async def test_an_ask_may_be_cancelled_and_the_next_one_gets_its_own_answer(peer: SshPeer, agent: StandIn) -> None:
    await peer.ask(b"{}", 10)
    reached = asyncio.Event()

    async def never(_body: bytes) -> web.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    agent.answer = never
    asking = asyncio.create_task(peer.ask(b'{"first": 1}', 30))
    await asyncio.wait_for(reached.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    agent.answer = None
    assert await peer.ask(b'{"second": 2}', 10) == b'{"second": 2}'


async def test_an_agent_that_is_down_is_unreachable_and_one_that_refuses_is_refused(peer: SshPeer, righty: Sshd) -> None:
    with pytest.raises(PeerUnreachable, match="no agent listens"):
        await peer.ask(b"{}", 10)
    async with stand_in(righty.settings.agent_socket) as agent:

        async def no(_body: bytes) -> web.Response:
            return web.json_response({"code": "forbidden", "message": "not you"}, status=403)

        agent.answer = no
        with pytest.raises(PeerRefused, match="not you"):
            await peer.ask(b"{}", 10)


async def test_unpairing_makes_the_key_useless_at_once_even_in_an_open_session(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    assert await peer.ask(b"{}", 10) == b"{}"
    assert righty.keys.forget()
    with pytest.raises(PeerRefused, match="unpaired"):
        await peer.ask(b"{}", 10)
    assert agent.asked == [b"{}"]
    assert not righty.keys.forget()


async def test_unpairing_here_ends_the_asking_here(peer: SshPeer, agent: StandIn, lefty: PeerKeys) -> None:
    assert await peer.ask(b"{}", 10) == b"{}"
    key = lefty.private_key
    lefty.forget()
    assert not key.exists()
    with pytest.raises(PeerRefused, match="not paired"):
        await peer.ask(b"{}", 10)


async def test_a_pairing_that_is_renewed_with_another_key_goes_on_without_a_restart(
    peer: SshPeer, agent: StandIn, lefty: PeerKeys, righty: Sshd
) -> None:
    assert await peer.ask(b"{}", 10) == b"{}"
    old = lefty.private_key.read_bytes()
    lefty.install_key(*lefty.fresh_key())
    pair(lefty, righty.keys)
    assert await peer.ask(b'{"new": 1}', 10) == b'{"new": 1}'
    stolen = lefty.folder / "old"
    stolen.write_bytes(old)
    stolen.chmod(0o600)
    assert "Permission denied" in righty.ssh(stolen, "lvsagent-sync 1").stderr


async def test_new_addresses_over_there_do_not_cost_an_answer(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    assert await peer.ask(b"{}", 10) == b"{}"
    assert righty.keys.follow(("192.0.2.50",))
    assert not righty.keys.follow(("192.0.2.50",))
    assert await peer.ask(b'{"still": 1}', 10) == b'{"still": 1}'


async def test_closing_ends_the_session_over_there(peer: SshPeer, agent: StandIn, righty: Sshd) -> None:
    await peer.ask(b"{}", 10)
    assert righty.sessions()
    await peer.close()
    await asyncio.to_thread(until, lambda: not righty.sessions(), 10, "a session is left")
    with pytest.raises(PeerUnreachable, match="ending"):
        await peer.ask(b"{}", 10)


# --- what the key may not do ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("id",),
        ("/bin/sh", "-c", "id"),
        ("lvsagent-sync 1; id",),
        ("lvsagent-sync 2",),
        ("lvsagent-sync  1",),
        ("scp -t /tmp/x",),
        ("scp -f /etc/passwd",),
        ("rsync --server --sender -Ize.LsfxCIvu --timeout=5 . /etc/passwd",),
        ("rsync --server -Ize.LsfxCIvu --timeout=5 . /etc/cron.d/x",),
        ("rsync --server -Ize.LsfxCIvu --timeout=5 . request/../../authorized_keys",),
        ("rsync --server -rIze.LsfxCIvu --timeout=5 . request",),
        ("rsync --server -Ize.LsfxCIvu --timeout=5 --rsh=id . request",),
        ("rsync --server -Ize.LsfxCIvu --timeout=5 . request\nid",),
        ("rsync --daemon",),
    ],
)
def test_the_key_opens_nothing_else(righty: Sshd, lefty: PeerKeys, words: tuple[str, ...]) -> None:
    done = righty.ssh(lefty.private_key, *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "is not what this key is for" in done.stderr
    assert list(righty.settings.inbox.iterdir()) == []


def test_a_terminal_is_not_given(righty: Sshd, lefty: PeerKeys) -> None:
    assert (
        "PTY allocation request failed" in righty.ssh(lefty.private_key, "lvsagent-sync 1", options=("-tt", "-o", "LogLevel=INFO")).stderr
    )


def test_scp_and_sftp_carry_nothing(righty: Sshd, lefty: PeerKeys, tmp_path: Path) -> None:
    ssh = ["-F", "none", "-i", str(lefty.private_key), "-P", str(righty.port), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]
    ssh += ["-o", "UserKnownHostsFile=/dev/null"]
    for program in (["scp"], ["scp", "-O"]):
        done = subprocess.run([*program, *ssh, "lvssync@127.0.0.1:/etc/hostname", str(tmp_path)], capture_output=True, check=False)
        assert done.returncode != 0
    batch = tmp_path / "batch"
    batch.write_text(f"get /etc/hostname {tmp_path}/hostname\n")
    assert subprocess.run(["sftp", *ssh, "-b", str(batch), "lvssync@127.0.0.1"], capture_output=True, check=False).returncode != 0
    assert not (tmp_path / "hostname").exists()


def test_a_password_opens_nothing(righty: Sshd) -> None:
    done = righty.ssh(Path("/nonexistent"), "id", options=("-o", "PreferredAuthentications=password,keyboard-interactive"))
    assert "Permission denied (publickey)" in done.stderr


def test_no_port_is_forwarded_either_way_and_no_agent(righty: Sshd, lefty: PeerKeys) -> None:
    transport = paramiko.Transport(("127.0.0.1", righty.port))
    try:
        transport.start_client(timeout=10)
        transport.auth_publickey("lvssync", paramiko.Ed25519Key.from_private_key_file(str(lefty.private_key)))
        with pytest.raises(paramiko.ChannelException, match="Administratively prohibited"):
            transport.open_channel("direct-tcpip", ("127.0.0.1", righty.port), ("127.0.0.1", 1), timeout=10)
        with pytest.raises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)
        channel = transport.open_session(timeout=10)
        paramiko.agent.AgentRequestHandler(channel)
        channel.exec_command("env")
        assert b"is not what this key is for" in channel.makefile_stderr().read()
    finally:
        transport.close()


def test_what_is_refused_is_bounded_a_line_without_an_end_ends_the_session(righty: Sshd, lefty: PeerKeys) -> None:
    argv = ["ssh", "-F", "none", "-p", str(righty.port), "-i", str(lefty.private_key), "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "lvssync@127.0.0.1", "lvsagent-sync 1"]
    done = subprocess.run(argv, input=b"x" * (33 * 1024 * 1024), capture_output=True, check=False, timeout=60)
    assert done.stdout.startswith(b"413 ")
    assert done.returncode == 1


def test_the_files_of_a_pairing_are_roots_alone_but_the_one_that_sshd_reads(righty: Sshd, lefty: PeerKeys) -> None:
    assert lefty.folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in lefty.folder.iterdir()} == {
        "id_ed25519": 0o600,
        "id_ed25519.pub": 0o600,
        "known_host": 0o600,
        "peer.json": 0o600,
    }
    assert righty.settings.authorized_keys.stat().st_mode & 0o777 == 0o644
    assert righty.settings.authorized_keys.stat().st_uid == 0
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(lefty.private_key)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == lefty.own_user_key().split()
