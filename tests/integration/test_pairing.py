"""Pairing by a one-time code and by files: what both directors have afterwards, and what a stranger on the way can do (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lvsagent.adapters import handshake
from lvsagent.adapters.handshake import PairingFailed, Waiting, join, new_code
from lvsagent.adapters.heartbeat_key import read_keys
from lvsagent.adapters.pairing_side import OwnSide, export_file, import_file, pairing_info
from lvsagent.adapters.peer_keys import NotPaired, PeerKeys
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.core.introduction import code_of, read_code
from lvsagent.ports import AdapterError, PeerRefused
from lvsagent.settings import AgentSettings
from tests.sshd import AT, director, folder_for_sshd, needs_sshd, running_sshd, stand_in
from tests.stack import free_port
from tests.waiting import until

LVSCTL = str(Path(sys.executable).with_name("lvsctl"))


@dataclass
class Two:
    """Two directors that do not know each other yet."""

    lefty: PeerKeys
    righty: PeerKeys
    left: AgentSettings
    right: AgentSettings
    port: int

    def side(self, keys: PeerKeys, *, waiting: bool = False, rotate: bool = False) -> OwnSide:
        return OwnSide(keys, "lefty" if keys is self.lefty else "righty", ("127.0.0.1",), AT, waiting=waiting, rotate=rotate)

    async def wait(self, code: str = "", limit_s: float = 20) -> Waiting:
        """lefty waits."""
        waiting = Waiting(code or new_code(), self.side(self.lefty, waiting=True), limit_s)
        await waiting.start(["127.0.0.1"], self.port)
        return waiting

    async def join(self, code: str, *, port: int = 0, rotate: bool = False) -> None:
        """righty comes."""
        await join("127.0.0.1", port or self.port, code, self.side(self.righty, rotate=rotate))

    def nothing_happened(self) -> None:
        for keys in (self.lefty, self.righty):
            with pytest.raises(NotPaired):
                keys.peer()
            assert not keys.authorized_keys.exists()

    def paired(self) -> None:
        """Each has the other's keys and nothing else, and both have one heartbeat key."""
        assert self.lefty.peer().introduction.user_key == self.righty.own_user_key()
        assert self.righty.peer().introduction.user_key == self.lefty.own_user_key()
        assert self.lefty.peer().introduction.host_key == self.righty.own_host_key()
        assert self.righty.peer().introduction.host_key == self.lefty.own_host_key()
        for keys, other in ((self.lefty, self.righty), (self.righty, self.lefty)):
            assert keys.authorized_keys.read_text().startswith('restrict,from="127.0.0.1",command="')
            assert f" {other.own_user_key()} " in keys.authorized_keys.read_text()
            assert keys.known_host.read_text() == f"lvs-peer {other.own_host_key()}\n"
        assert read_keys(self.left.heartbeat_key_file).present == read_keys(self.right.heartbeat_key_file).present


@pytest.fixture
def two(tmp_path: Path) -> Two:
    left, lefty = director(tmp_path / "lefty")
    right, righty = director(tmp_path / "righty")
    return Two(lefty, righty, left, right, free_port())


def other_code(code: str) -> str:
    return ("A" if code[0] != "A" else "B") + code[1:]


# --- the code ------------------------------------------------------------------------------------------------------------------


def test_a_code_is_a_hundred_random_bits_and_may_be_typed_carelessly() -> None:
    code = new_code()
    assert len({new_code() for _ in range(100)}) == 100
    assert read_code(code.lower().replace("-", " ")) == code
    assert read_code(code_of(b"\xff" * 13)) == "77777-77777-77777-77777"
    assert read_code("oi0b1-81111 11111-22222").startswith("OIOBI-BIIII")
    for wrong in ("", "ABCDE", code + "A", code.replace(code[0], "9")):
        with pytest.raises(ValueError, match="4 groups of 5"):
            read_code(wrong)


async def test_the_right_code_pairs_both(two: Two) -> None:
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    await two.join(waiting.code)
    assert (await told).name == "righty"
    two.paired()
    info = pairing_info(two.lefty)
    mirrored = pairing_info(two.righty)
    assert (info.host_key, info.user_key) == (mirrored.peer_host_key, mirrored.peer_user_key)
    assert (info.name, mirrored.name, info.paired, info.since) == ("righty", "lefty", True, AT)


async def test_a_wrong_code_changes_nothing_and_the_third_is_the_end(two: Two) -> None:
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    for left in ("2 more tries", "1 more try", "a new one is needed"):
        with pytest.raises(PairingFailed, match=f"the code is not right: {left}"):
            await two.join(other_code(waiting.code))
    with pytest.raises(PairingFailed, match="3 times"):
        await told
    with pytest.raises(PairingFailed, match="nobody waits"):
        await two.join(waiting.code)
    two.nothing_happened()


async def test_a_code_is_good_after_two_wrong_ones(two: Two) -> None:
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    for _ in range(2):
        with pytest.raises(PairingFailed, match="not right"):
            await two.join(other_code(waiting.code))
    await two.join(waiting.code)
    await told
    two.paired()


async def test_a_code_ends_with_its_time(two: Two) -> None:
    waiting = await two.wait(limit_s=0.1)
    with pytest.raises(PairingFailed, match="nobody has used the code"):
        await waiting.result()
    with pytest.raises(PairingFailed, match="nobody waits"):
        await two.join(waiting.code)
    two.nothing_happened()


async def test_a_code_is_used_once(two: Two, tmp_path: Path) -> None:
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    _, third = director(tmp_path / "third")
    both = await asyncio.gather(
        two.join(waiting.code),
        join("127.0.0.1", two.port, waiting.code, OwnSide(third, "third", ("127.0.0.1",), AT)),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, PairingFailed) for one in both) == [False, True]
    winner = await told
    assert two.lefty.peer().introduction.name == winner.name


# --- strangers on the way ------------------------------------------------------------------------------------------------------

Tap = Callable[[bytes, bool], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def tapped(port: int, tap: Tap):  # type: ignore[no-untyped-def]  # a fixture of this module alone
    """A port that leads to ``port`` through ``tap(bytes, towards the waiting side)``."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, there: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(await tap(data, there))
                await writer.drain()
        writer.close()

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        tasks.add(asyncio.create_task(carry(reader, to_writer, there=True)))
        tasks.add(asyncio.create_task(carry(to_reader, writer, there=False)))

    server = await asyncio.start_server(visitor, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_listens_on_the_way_sees_no_key_and_no_name(two: Two) -> None:
    seen = bytearray()

    async def listen(data: bytes, there: bool) -> bytes:
        seen.extend(data)
        return data

    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    async with tapped(two.port, listen) as port:
        await two.join(waiting.code, port=port)
    await told
    two.paired()
    secret = read_keys(two.left.heartbeat_key_file).present
    for word in (secret, secret.hex().encode(), b"lefty", b"righty", two.lefty.own_user_key().split()[1].encode(), waiting.code.encode()):
        assert word not in seen
    assert len(seen) > 800


@pytest.mark.parametrize("where", [20, 40, 60, 100, 300, 400])
async def test_who_changes_a_byte_on_the_way_ends_it(two: Two, where: int) -> None:
    passed = {True: 0, False: 0}

    async def change(data: bytes, there: bool) -> bytes:
        start, passed[there] = passed[there], passed[there] + len(data)
        index = where - start
        return data if not there or not 0 <= index < len(data) else data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]

    waiting = await two.wait()
    async with tapped(two.port, change) as port:
        with pytest.raises(PairingFailed):
            await two.join(waiting.code, port=port)
    await waiting.close()
    two.nothing_happened()


async def test_a_man_in_the_middle_without_the_code_pairs_with_neither(two: Two, tmp_path: Path) -> None:
    """He waits for righty in lefty's place, and comes to lefty in righty's."""
    _, mallory = director(tmp_path / "mallory")
    waiting = await two.wait()
    trap = Waiting(other_code(waiting.code), OwnSide(mallory, "lefty", ("127.0.0.1",), AT, waiting=True))
    trap_port = free_port()
    await trap.start(["127.0.0.1"], trap_port)
    with pytest.raises(PairingFailed, match="not right"):
        await two.join(waiting.code, port=trap_port)
    with pytest.raises(PairingFailed, match="not right"):
        await join("127.0.0.1", two.port, trap.code, OwnSide(mallory, "righty", ("127.0.0.1",), AT))
    await trap.close()
    await waiting.close()
    two.nothing_happened()


async def test_what_was_recorded_opens_nothing_when_it_is_played_again(two: Two) -> None:
    recorded = bytearray()

    async def record(data: bytes, there: bool) -> bytes:
        if there:
            recorded.extend(data)
        return data

    first = await two.wait()
    told = asyncio.create_task(first.result())
    async with tapped(two.port, record) as port:
        await two.join(first.code, port=port)
    await told
    for keys in (two.lefty, two.righty):
        keys.forget()
    again = await two.wait(first.code)  # even with the same code
    reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
    writer.write(bytes(recorded))
    answer = await reader.read()
    assert b"the code is not right" in answer
    writer.close()
    await again.close()
    two.nothing_happened()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff\xff" + b"h" + b"x" * 70000,
        b"\x00\x2fh" + b"piranha-pair 1\n" + b"\x00" * 32,
        b"\x00\x01h",
        b"\x00\x00b",
        bytes(range(256)) * 300,
    ],
    ids=["nothing", "http", "too long", "a null key", "half", "another order", "noise"],
)
async def test_garbage_takes_no_try_and_holds_up_nobody(two: Two, garbage: bytes) -> None:
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    strangers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", two.port)
        writer.write(garbage)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        strangers.append(writer)
    await two.join(waiting.code)
    await told
    two.paired()
    for writer in strangers:
        writer.close()


async def test_silent_connections_are_bounded_make_room_and_time_out(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = await two.wait()
    silent = [await asyncio.open_connection("127.0.0.1", two.port) for _ in range(handshake.AT_ONCE + 4)]
    for reader, _ in silent[:4]:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    told = asyncio.create_task(waiting.result())
    await two.join(waiting.code)
    await told
    two.paired()
    monkeypatch.setattr(handshake, "CONVERSATION_S", 0.3)
    again = await two.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await again.close()
    for _, writer in silent:
        writer.close()


async def test_one_that_breaks_off_in_the_middle_spends_the_code_and_pairs_neither(two: Two) -> None:
    passed = 0

    async def cut(data: bytes, there: bool) -> bytes:
        nonlocal passed
        passed += not there
        if not there and passed > 1:
            raise ConnectionResetError
        return data

    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    async with tapped(two.port, cut) as port:
        with pytest.raises(PairingFailed, match="broke off"):
            await two.join(waiting.code, port=port)
        with pytest.raises(PairingFailed, match="went away before the pairing was complete; pair again"):
            await told
    two.nothing_happened()


async def test_a_program_that_is_no_director_is_told_apart(two: Two) -> None:
    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", two.port)
    with pytest.raises(PairingFailed, match=r"is not a director|broke off"):
        await two.join(new_code())
    server.close()


async def test_a_port_that_is_taken_is_said(two: Two) -> None:
    waiting = await two.wait()
    with pytest.raises(PairingFailed, match=f"127.0.0.1 port {two.port} cannot be listened on"):
        await two.wait()
    await waiting.close()


# --- the heartbeat key, again, and another key ---------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["neither", "the waiting", "the joining", "both"])
async def test_both_end_with_one_heartbeat_key_and_keep_the_one_before(two: Two, who: str) -> None:
    left = two.lefty.heartbeat_key(make=who in {"the waiting", "both"})
    right = two.righty.heartbeat_key(make=who in {"the joining", "both"})
    waiting = await two.wait()
    told = asyncio.create_task(waiting.result())
    await two.join(waiting.code)
    await told
    two.paired()
    keys = read_keys(two.right.heartbeat_key_file)
    assert keys.present == (left or right or keys.present)
    assert keys.previous == (right if who == "both" else None)


async def test_pairing_again_replaces_and_rotating_comes_with_a_new_key(two: Two) -> None:
    before = ""
    for rotate in (False, False, True):
        waiting = await two.wait()
        told = asyncio.create_task(waiting.result())
        await two.join(waiting.code, rotate=rotate)
        await told
        two.paired()
        assert (two.righty.own_user_key() == before) is (bool(before) and not rotate)
        before = two.righty.own_user_key()
    assert two.lefty.authorized_keys.read_text().count("ssh-ed25519") == 1


async def test_a_rotation_that_fails_leaves_the_key_in_force(two: Two) -> None:
    before = two.righty.own_user_key()
    waiting = await two.wait()
    with pytest.raises(PairingFailed):
        await two.join(other_code(waiting.code), rotate=True)
    await waiting.close()
    assert two.righty.own_user_key() == before


# --- by file -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["exports then imports", "both export first"])
def test_files_carried_over_pair_both_whatever_the_order(two: Two, tmp_path: Path, first: str) -> None:
    two.lefty.heartbeat_key(make=True)
    two.righty.heartbeat_key(make=True)
    left, right = tmp_path / "left", tmp_path / "right"
    export_file(two.lefty, "lefty", ("127.0.0.1",), left)
    if first == "both export first":
        export_file(two.righty, "righty", ("127.0.0.1",), right)
    import_file(two.righty, left, AT)
    if first != "both export first":
        export_file(two.righty, "righty", ("127.0.0.1",), right)
    import_file(two.lefty, right, AT)
    two.paired()
    assert left.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_can_read_is_broken_or_ones_own_is_refused(two: Two, tmp_path: Path) -> None:
    path = tmp_path / "left"
    export_file(two.lefty, "lefty", ("127.0.0.1",), path)
    with pytest.raises(AdapterError, match="is there already"):
        export_file(two.lefty, "lefty", ("127.0.0.1",), path)
    with pytest.raises(AdapterError, match="that is this director itself"):
        import_file(two.lefty, path, AT)
    path.chmod(0o644)
    with pytest.raises(AdapterError, match="chmod 600"):
        import_file(two.righty, path, AT)
    path.chmod(0o600)
    path.write_text("{}")
    with pytest.raises(AdapterError, match="not a pairing"):
        import_file(two.righty, path, AT)
    two.nothing_happened()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "a\nb"),
        ("name", ""),
        ("name", 5),
        ("addresses", []),
        ("addresses", ['127.0.0.1",command="id']),
        ("addresses", ["fe80::1%eth0"]),
        ("addresses", ["192.0.2.1"] * 9),
        ("port", 0),
        ("port", "22"),
        ("user", "root -oProxyCommand=id"),
        ("user", "-oProxyCommand=id"),
        ("user_key", "ssh-rsa AAAA"),
        ("user_key", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"),
        ("user_key", 'command="id" ssh-ed25519 AAAA'),
        ("host_key", "ssh-ed25519 " + "A" * 68),
        ("heartbeat_key", "abcd"),
        ("heartbeat_key", None),
    ],
)
def test_nothing_in_an_introduction_gets_into_a_file_unchecked(two: Two, tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "left"
    export_file(two.lefty, "lefty", ("127.0.0.1",), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(AdapterError, match=f"its {name} is not usable"):
        import_file(two.righty, path, AT)
    two.nothing_happened()


# --- lvsctl --------------------------------------------------------------------------------------------------------------------


def lvsctl(two: Two, side: str, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    argv = [LVSCTL, *words, "--config", str((two.left if side == "lefty" else two.right).state_dir.parent / "agent.toml")]
    return subprocess.run(argv, capture_output=True, text=True, check=False, input=typed, timeout=30)


@contextlib.contextmanager
def waiting_lvsctl(two: Two, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """lefty's ``lvsctl pair --wait``, and the code that it shows."""
    argv = [LVSCTL, "pair", "--wait", "--own-address", "127.0.0.1", "--port", str(two.port), *words]
    argv += ["--config", str(two.left.state_dir.parent / "agent.toml")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("On the other director, within 10 minutes")
        yield process, process.stdout.readline().split()[3]
        if not process.stdout.closed:
            process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_two_commands_pair_two_directors(two: Two) -> None:
    assert lvsctl(two, "lefty", "pair", "--status").stdout == "this director is not paired\n"
    with waiting_lvsctl(two) as (waiting, code):
        joined = lvsctl(two, "righty", "pair", "127.0.0.1", "--port", str(two.port), typed=f"{code.lower()}\n")
        assert joined.returncode == 0, joined.stderr
        assert waiting.stdout
        until(lambda: waiting.poll() is not None, 10, "the waiting side does not end")
    assert waiting.returncode == 0
    two.paired()
    status = json.loads(lvsctl(two, "lefty", "pair", "--status", "--json").stdout)
    mirrored = json.loads(lvsctl(two, "righty", "pair", "--status", "--json").stdout)
    assert (status["host_key"], status["peer_user_key"]) == (mirrored["peer_host_key"], mirrored["user_key"])
    assert status["host_key"] in joined.stdout
    assert "the same four fingerprints" in joined.stdout
    gone = lvsctl(two, "righty", "unpair")
    assert (gone.returncode, lvsctl(two, "righty", "unpair").returncode) == (0, 1)
    assert "opens nothing here any more" in gone.stdout
    assert read_keys(two.right.heartbeat_key_file).present == read_keys(two.left.heartbeat_key_file).present


def test_ctrl_c_ends_the_waiting_in_words(two: Two) -> None:
    with waiting_lvsctl(two) as (waiting, _):
        waiting.send_signal(signal.SIGINT)
        _, words = waiting.communicate(timeout=20)
    assert (waiting.returncode, words) == (1, "lvsctl: nothing has been paired; the code is worth nothing any more\n")
    two.nothing_happened()


def test_files_pair_two_directors_by_lvsctl(two: Two, tmp_path: Path) -> None:
    for side, file in (("lefty", "left"), ("righty", "right")):
        done = lvsctl(two, side, "pair", "--export", str(tmp_path / file), "--own-address", "127.0.0.1")
        assert done.returncode == 0, done.stderr
    for side, file in (("lefty", "right"), ("righty", "left")):
        done = lvsctl(two, side, "pair", "--import", str(tmp_path / file))
        assert done.returncode == 0, done.stderr
        assert "Remove" in done.stdout
    two.paired()
    rotated = lvsctl(two, "lefty", "pair", "--export", str(tmp_path / "new"), "--own-address", "127.0.0.1", "--rotate")
    assert rotated.returncode == 0
    assert lvsctl(two, "righty", "pair", "--import", str(tmp_path / "new")).returncode == 0
    two.paired()


@pytest.mark.parametrize(
    "words",
    [
        ("pair",),
        ("pair", "--status", "127.0.0.1"),
        ("pair", "--status", "--rotate"),
        ("pair", "--take", "/x", "--port", "5"),
        ("pair", "127.0.0.1", "not-a-code"),
        ("pair", "--wait", "--own-address", "nowhere"),
    ],
)
def test_arguments_that_do_not_go_together_are_status_2(two: Two, words: tuple[str, ...]) -> None:
    done = lvsctl(two, "lefty", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("lvsctl: ")
    two.nothing_happened()


def test_a_director_that_lvs_cf_does_not_name_and_one_without_sshd_say_what_to_do(two: Two) -> None:
    assert "--own-address" in lvsctl(two, "lefty", "pair", "--wait").stderr
    two.left.ssh_host_key.unlink()
    assert "ssh-keygen -A" in lvsctl(two, "lefty", "pair", "--wait", "--own-address", "127.0.0.1").stderr


# --- and then ------------------------------------------------------------------------------------------------------------------


@pytest.mark.root
@needs_sshd
async def test_paired_by_code_one_director_asks_the_other_until_it_is_unpaired(tmp_path: Path) -> None:
    with folder_for_sshd() as folder, running_sshd(folder) as sshd:
        left, lefty = director(tmp_path / "lefty")
        two = Two(lefty, sshd.keys, left, sshd.settings, free_port())
        waiting = await two.wait()
        told = asyncio.create_task(waiting.result())
        await two.join(waiting.code)
        await told
        peer = SshPeer(lefty)
        async with stand_in(sshd.settings.agent_socket) as agent:
            assert await peer.ask(b'{"now": 1}', 10) == b'{"now": 1}'
            sshd.keys.forget()
            with pytest.raises(PeerRefused):
                await peer.ask(b'{"later": 1}', 10)
            assert agent.asked == [b'{"now": 1}']
        await peer.close()
