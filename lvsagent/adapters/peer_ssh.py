"""The way to the other director over ssh: the ``Peer`` port with paramiko, which blocks, in a thread of its own.

Owns the connection (host key pinned, one key, one session kept open), every time limit, and what a failure means to whoever asked.  It
does not understand what it carries.  paramiko is imported when the first request is made: a director without a peer never pays for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import socket
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from lvsagent.adapters import peer_rsync
from lvsagent.adapters.peer_keys import NotPaired, Peer, PeerKeys
from lvsagent.adapters.peer_lines import Again, answer_of, printable, request_line
from lvsagent.core.introduction import COMMAND, KEY_TYPE, another_host_key, fingerprint, fingerprint_of
from lvsagent.core.sync_tool import RSYNC, SSH
from lvsagent.ports import AdapterError, PeerRefused, PeerUnreachable
from lvsagent.receive import REFUSAL

if TYPE_CHECKING:
    import paramiko

CONNECT_S = 3.0
HANDSHAKE_S = 5.0
KEEPALIVE_S = 15
UNHEARD_S = 5
"""A host that acknowledges nothing for so long is gone, however long its answer might have taken."""
SLICE_S = 0.25
"""How soon the thread sees that nobody wants the answer any more."""
WINDOW_BYTES = 8 * 1024 * 1024
LARGEST_ANSWER_BYTES = 32 * 1024 * 1024
BY_RSYNC_BYTES = 32 * 1024
"""With rsync, what is larger goes as a file; the small talk stays on the session."""


@dataclass(slots=True)
class _Errand:
    """One request on its way through the thread.  ``until`` is monotonic."""

    request: bytes
    until: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[bytes]
    given_up: threading.Event = field(default_factory=threading.Event)

    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.given_up.is_set() or monotonic() >= self.until

    def left(self) -> float:
        """Seconds that are left.  Raises PeerUnreachable when none are, or nobody waits."""
        if self.is_over():
            raise PeerUnreachable("the other director did not answer in time")
        return max(self.until - monotonic(), 0.001)

    def settle(self, result: bytes | AdapterError) -> None:
        """Hand it over to whoever asked, if they still wait."""

        def tell() -> None:
            if self.answer.done():
                return
            if isinstance(result, bytes):
                self.answer.set_result(result)
            else:
                self.answer.set_exception(result)

        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(tell)


class SshPeer:
    """The ``Peer`` port.  One request is under way at a time; others wait for it, within their own limits.

    A pairing that is made, changed or ended meanwhile counts from the next request on.
    """

    def __init__(self, keys: PeerKeys, tool: str = SSH) -> None:
        self._keys = keys
        self._tool = tool
        self._errands: queue.SimpleQueue[_Errand | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._session: _Session | None = None
        self._stamp: object = None
        self._closed = False

    def use(self, tool: str) -> None:
        """From the next request on (see ``lvsagent.core.sync_tool``): ssh, rsync, or anything else, which is refused."""
        self._tool = tool

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Carry one request and bring its answer.  Raises PeerUnreachable, PeerRefused.  May be cancelled at any time."""
        if self._tool not in {SSH, RSYNC}:
            raise PeerRefused(
                f"{self._tool or 'nothing'} is not used to reach the other director (rsh_command in lvs.cf): choose ssh or rsync"
            )
        if self._closed:
            raise PeerUnreachable("this agent is ending")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="peer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        errand = _Errand(request, monotonic() + timeout_s, loop, loop.create_future())
        self._errands.put(errand)
        try:
            async with asyncio.timeout(timeout_s):
                return await errand.answer
        except TimeoutError:
            raise PeerUnreachable(f"the other director did not answer within {timeout_s:g} s") from None
        finally:
            errand.given_up.set()

    async def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._thread is not None:
            self._errands.put(None)
            await asyncio.to_thread(self._thread.join, HANDSHAKE_S)

    # --- the thread ----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (errand := self._errands.get()) is not None:
            if errand.is_over():
                continue  # it waited too long behind others; the session has nothing to do with it
            try:
                answer = self._carry(errand)
            except (PeerRefused, PeerUnreachable) as error:
                self._hang_up()
                errand.settle(error)
            except AdapterError as error:
                self._hang_up()
                errand.settle(PeerRefused(str(error)))
            except Exception as error:  # whatever a library raises is an answer too; the thread lives on
                self._hang_up()
                errand.settle(PeerUnreachable(f"the connection to the other director broke: {error or type(error).__name__}"))
            else:
                errand.settle(answer)
        self._hang_up()

    def _carry(self, errand: _Errand) -> bytes:
        stamp = self._keys.stamp()
        if stamp != self._stamp:
            self._hang_up()
            self._stamp = stamp
        try:
            return self._once(errand)
        except Again:  # it was not even looked at: the pairing has changed over there
            self._hang_up()
            return self._once(errand)

    def _once(self, errand: _Errand) -> bytes:
        session = self._connected(errand)
        line = request_line(errand.request)
        if self._tool == RSYNC and len(line) > BY_RSYNC_BYTES:
            line = peer_rsync.send(self._keys, session.peer.introduction, session.address, errand.request, errand.left())
        return answer_of(session.exchange(line, errand))

    def _connected(self, errand: _Errand) -> _Session:
        if self._session is None or not self._session.alive():
            self._hang_up()
            self._session = _open(self._keys, errand)
        return self._session

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


@dataclass(slots=True)
class _Session:
    """``lvsagent receive`` on the other director."""

    peer: Peer
    address: str
    transport: paramiko.Transport
    channel: paramiko.Channel

    def alive(self) -> bool:
        """As far as is known here."""
        return self.transport.is_active() and not self.channel.closed and not self.channel.eof_received

    def exchange(self, line: bytes, errand: _Errand) -> bytes:
        """Send a line and read one.  Raises PeerUnreachable, PeerRefused."""
        view = memoryview(line)
        while view:
            self.channel.settimeout(min(SLICE_S, errand.left()))
            try:
                view = view[self.channel.send(bytes(view[:65536])) :]
            except TimeoutError:
                continue
            except OSError:
                raise self._broken() from None
        return self._line(errand)

    def _line(self, errand: _Errand) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            self.channel.settimeout(min(SLICE_S, errand.left()))
            try:
                part = self.channel.recv(65536)
            except TimeoutError:
                continue
            if not part:
                raise self._broken()
            parts.append(part)
            size += len(part)
            if part.endswith(b"\n"):
                return b"".join(parts)
            if size > LARGEST_ANSWER_BYTES:
                raise PeerRefused("the other director's answer is too long")

    def _broken(self) -> AdapterError:
        """A refusal is a line of ``lvsagent receive`` on its error output; without one it has just gone."""
        words = b""
        with contextlib.suppress(Exception):
            self.channel.settimeout(SLICE_S)
            words = self.channel.recv_stderr(4000)
        said = next((line for line in words.decode(errors="replace").splitlines() if line.startswith(REFUSAL)), "")
        if said:
            return PeerRefused(f"the other director refuses: {printable(said.removeprefix(REFUSAL))}")
        return PeerUnreachable("the other director broke off the connection")

    def close(self) -> None:
        """The thread of paramiko ends by itself."""
        with contextlib.suppress(Exception):
            self.transport.close()


def _open(keys: PeerKeys, errand: _Errand) -> _Session:
    """Connect to the first address that answers.  Raises PeerUnreachable naming each, or PeerRefused."""
    try:
        peer = keys.peer()
    except NotPaired as error:
        raise PeerRefused(str(error)) from None
    failures = []
    for address in peer.introduction.addresses:
        try:
            connected = socket.create_connection((address, peer.introduction.port), min(CONNECT_S, errand.left()))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_S * 1000)
        except OSError as error:
            words = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
            failures.append(f"{address} port {peer.introduction.port}: {words}")
            continue
        try:
            return _session(keys, peer, address, connected, errand)
        except PeerUnreachable as error:
            failures.append(f"{address}: {error}")
    raise PeerUnreachable(f"the other director cannot be reached ({'; '.join(failures)})")


def _session(keys: PeerKeys, peer: Peer, address: str, connected: socket.socket, errand: _Errand) -> _Session:
    import paramiko  # noqa: PLC0415 -- see the module's words

    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what goes wrong is said once, by whoever asked
    transport = None
    limit_s = min(HANDSHAKE_S, errand.left())
    too_late = threading.Timer(limit_s, lambda: _cut(connected))
    too_late.daemon = True
    too_late.start()
    try:
        transport = paramiko.Transport(connected, default_window_size=WINDOW_BYTES)
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = transport.channel_timeout = limit_s
        transport.get_security_options().key_types = (KEY_TYPE,)
        transport.start_client(timeout=limit_s)
        _check_host_key(peer, address, transport.get_remote_server_key().asbytes())
        key = paramiko.Ed25519Key.from_private_key_file(str(keys.private_key))
        transport.auth_publickey(peer.introduction.user, key)
        transport.set_keepalive(KEEPALIVE_S)
        channel = transport.open_session(timeout=limit_s)
        channel.exec_command(COMMAND)
    except Exception as error:
        if transport is not None:
            transport.close()
        connected.close()
        raise _translated(peer, error) from error
    finally:
        too_late.cancel()
    return _Session(peer, address, transport, channel)


def _cut(connected: socket.socket) -> None:
    """paramiko waits without end for the answer to a command; it wakes when there is nothing left to wait for."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _check_host_key(peer: Peer, address: str, blob: bytes) -> None:
    pinned, found = fingerprint(peer.introduction.host_key), fingerprint_of(blob)
    if pinned != found:
        raise PeerRefused(another_host_key(address, found, pinned))


def _translated(peer: Peer, error: Exception) -> Exception:
    """What it means to whoever asked."""
    import paramiko  # noqa: PLC0415 -- see the module's words
    from paramiko.ssh_exception import IncompatiblePeer  # noqa: PLC0415 -- as above

    who = peer.introduction.name
    meaning = error
    match error:
        case IncompatiblePeer():
            meaning = PeerRefused(f"{who} has no {KEY_TYPE} host key, by which it was known when the two were paired: pair again")
        case paramiko.PasswordRequiredException() | FileNotFoundError():
            meaning = PeerRefused("this director's own key cannot be used: pair again with --rotate")
        case paramiko.AuthenticationException():
            meaning = PeerRefused(
                f"{who} does not take this director's key (it is paired with another one, was unpaired, or does not expect this address): "
                "pair again"
            )
        case paramiko.ChannelException():
            meaning = PeerRefused(f"{who} does not open a session: {error.text}")
        case OSError() | EOFError() | paramiko.SSHException():
            meaning = PeerUnreachable(f"ssh with {who}: {str(error) or type(error).__name__}".replace("\n", " "))
    return meaning
