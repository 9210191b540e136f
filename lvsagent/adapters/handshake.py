"""Pairing over the network with a one-time code: two directors that have nothing in common but what a person has just typed.

Owns the conversation, its cryptography and its limits (size, time, tries, connections).  What is told and what becomes of it is the
side's business (``lvsagent.adapters.pairing_side``).  Why it is built so: docs/decisions/0016.

    joining → waiting   hello: a fresh X25519 key
    waiting → joining   hello: salt of the code, a fresh X25519 key
    joining → waiting   box: its introduction
    waiting → joining   box: its introduction                          (or: refused, in words)
    joining → waiting   box: ready
    waiting → joining   box: kept                                      (and only then the joining side keeps it too)
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from lvsagent.core.introduction import CODE_BYTES, LONGEST_BYTES, BadIntroduction, Introduction, code_of, decode, encode, merged
from lvsagent.ports import AdapterError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

MAGIC = b"piranha-pair 1\n"
WAIT_S = 600.0
CONVERSATION_S = 10.0
CONNECT_S = 5.0
TRIES = 3
AT_ONCE = 16
SALT_BYTES, KEY_BYTES = 16, 32
LONGEST_FRAME = LONGEST_BYTES + 64
HELLO, BOX, NO = b"h", b"b", b"n"
READY, KEPT = b"ready", b"kept"


class PairingFailed(AdapterError):
    """There is no pairing, and why."""


class Side(Protocol):
    """One of the two directors, as this conversation sees it.  Both methods may raise AdapterError."""

    def introduce(self, heartbeat_key: bytes, address: str) -> Introduction:
        """Itself, with the heartbeat key that the pair will use (``heartbeat_key`` is the other's, ``b""``: not known or none).

        ``address`` is its own in this conversation.
        """
        ...

    def accept(self, introduction: Introduction) -> None:
        """Keep the other director."""
        ...


def new_code() -> str:
    """A fresh one-time code."""
    return code_of(secrets.token_bytes(CODE_BYTES))


class Waiting:
    """The side that shows the code and listens, until it is used, spent or too old."""

    def __init__(self, code: str, side: Side, limit_s: float = WAIT_S) -> None:
        self.code = code
        self._side = side
        self._limit_s = limit_s
        self._salt = secrets.token_bytes(SALT_BYTES)
        self._secret = b""
        self._tries = TRIES
        self._talking: dict[asyncio.Task[None], bool] = {}
        """The conversations, the oldest first, and whether each has shown that it knows the code."""
        self._servers: list[asyncio.Server] = []
        self._done: asyncio.Future[Introduction] = asyncio.get_running_loop().create_future()
        self._done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it

    async def start(self, addresses: Sequence[str], port: int) -> None:
        """Listen on these addresses alone, as far as this host has them.  Raises PairingFailed when it can on none."""
        self._secret = await asyncio.to_thread(_stretch, self.code, self._salt)
        failures = []
        for address in addresses:
            try:
                self._servers.append(await asyncio.start_server(self._visitor, address, port, limit=LONGEST_FRAME, reuse_address=True))
            except OSError as error:
                failures.append(f"{address} port {port} cannot be listened on: {error.strerror or error}")
        if not self._servers:
            raise PairingFailed("; ".join(failures) or "there is no address to listen on")

    async def result(self) -> Introduction:
        """The other director, kept.  Raises PairingFailed: too late, too many wrong codes, or the other side went away."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(self._done)
        except TimeoutError:
            raise PairingFailed(f"nobody has used the code in {self._limit_s / 60:.0f} minutes; it is worth nothing any more") from None
        finally:
            await self.close()

    async def close(self) -> None:
        """Listen no more; the code is spent."""
        self._tries = 0
        for server in self._servers:
            server.close()
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)

    async def _visitor(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each has its own time; none of them holds up another.  Where there are too many, the oldest stranger makes room."""
        task = asyncio.current_task()
        strangers = [each for each, known in self._talking.items() if not known]
        if len(strangers) >= AT_ONCE:
            strangers[0].cancel()
        if task is not None:
            self._talking[task] = False
        try:
            async with asyncio.timeout(CONVERSATION_S):
                await self._converse(_Line(reader, writer))
        except (PairingFailed, TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # a stranger, or too slow: the code is as good as before
        finally:
            if task is not None:
                self._talking.pop(task, None)
            writer.close()

    async def _converse(self, line: _Line) -> None:
        keys = await self._greet(line)
        box = await line.receive(BOX)
        if self._tries <= 0:
            await line.refuse("the code has been used, or there were too many wrong ones: a new one is needed")
        try:
            theirs = decode(keys.open(box))
        except BadIntroduction as error:
            await line.refuse(str(error))
        except _WrongCode:
            await self._wrong(line)
        else:
            self._tries = 0  # used, whatever comes of it
            if task := asyncio.current_task():
                self._talking[task] = True
            await self._finish(line, keys, replace(theirs, addresses=with_seen(theirs.addresses, line.address)))

    async def _greet(self, line: _Line) -> _Keys:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 -- only while pairing

        hello = await line.receive(HELLO)
        if not hello.startswith(MAGIC) or len(hello) != len(MAGIC) + KEY_BYTES:
            raise PairingFailed("a stranger")
        own = X25519PrivateKey.generate()
        answer = MAGIC + self._salt + own.public_key().public_bytes_raw()
        await line.send(HELLO, answer)
        return _Keys(own, hello[-KEY_BYTES:], self._secret, hello + answer, joining=False)

    async def _wrong(self, line: _Line) -> None:
        self._tries -= 1
        if self._tries <= 0 and not self._done.done():
            self._done.set_exception(PairingFailed(f"the code was given wrong {TRIES} times and is worth nothing any more"))
        left = f"{self._tries} more {'try' if self._tries == 1 else 'tries'}" if self._tries > 0 else "a new one is needed"
        await line.refuse(f"the code is not right: {left}")

    async def _finish(self, line: _Line, keys: _Keys, theirs: Introduction) -> None:
        try:
            own = self._side.introduce(theirs.heartbeat_key, line.own_address)
            await line.send(BOX, keys.seal(encode(own)))
            if keys.open(await line.receive(BOX)) != READY:
                raise PairingFailed("the other director did not go on")
            agreed = replace(theirs, heartbeat_key=own.heartbeat_key)
            self._side.accept(agreed)
            await line.send(BOX, keys.seal(KEPT))
        except (AdapterError, TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError, _WrongCode) as error:
            if not self._done.done():
                words = str(error) if isinstance(error, AdapterError) else "the other director went away before the pairing was complete"
                self._done.set_exception(PairingFailed(f"{words}; pair again"))
            raise
        if not self._done.done():
            self._done.set_result(agreed)


async def join(address: str, port: int, code: str, side: Side) -> Introduction:
    """The side where the code is typed.  Returns the other director, kept.  Raises PairingFailed, in words."""
    where = f"{address} port {port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(address, port, limit=LONGEST_FRAME)
    except (OSError, TimeoutError) as error:
        words = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise PairingFailed(f"nobody waits at {where} ({words}): on the other director run lvsctl pair --wait") from error
    line = _Line(reader, writer)
    try:
        async with asyncio.timeout(CONVERSATION_S):
            return await _join(line, code, side)
    except _WrongCode:
        raise PairingFailed(f"what answers at {where} does not know the code: is that the other director?") from None
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        raise PairingFailed(f"{where} broke off or did not answer in time; see there, and pair again") from None
    except BadIntroduction as error:
        raise PairingFailed(f"what {where} says of itself cannot be used: {error}") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _join(line: _Line, code: str, side: Side) -> Introduction:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 -- only while pairing

    own = X25519PrivateKey.generate()
    hello = MAGIC + own.public_key().public_bytes_raw()
    await line.send(HELLO, hello)
    answer = await line.receive(HELLO)
    if not answer.startswith(MAGIC) or len(answer) != len(MAGIC) + SALT_BYTES + KEY_BYTES:
        raise PairingFailed("what answers there is not a director that waits to be paired")
    salt = answer[len(MAGIC) : -KEY_BYTES]
    secret = await asyncio.to_thread(_stretch, code, salt)
    keys = _Keys(own, answer[-KEY_BYTES:], secret, hello + answer, joining=True)
    await line.send(BOX, keys.seal(encode(side.introduce(b"", line.own_address))))
    theirs = decode(keys.open(await line.receive(BOX)))
    theirs = replace(theirs, addresses=with_seen(theirs.addresses, line.address))
    await line.send(BOX, keys.seal(READY))
    if keys.open(await line.receive(BOX)) != KEPT:
        raise PairingFailed("the other director did not keep it; pair again")
    side.accept(theirs)
    return theirs


class _WrongCode(Exception):
    """Sealed with another key."""


class _Keys:
    """A key for each direction, from both fresh keys, the code, and everything that was said before."""

    def __init__(self, own: X25519PrivateKey, other: bytes, secret: bytes, transcript: bytes, *, joining: bool) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415 -- only while pairing
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 -- as above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 -- as above
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 -- as above

        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise PairingFailed("that is not a key") from None
        material = HKDF(SHA256(), 2 * KEY_BYTES, salt=secret, info=transcript).derive(shared)
        halves = (material[:KEY_BYTES], material[KEY_BYTES:])
        ours, theirs = halves if joining else reversed(halves)
        self._seal, self._open = ChaCha20Poly1305(ours), ChaCha20Poly1305(theirs)
        self._sealed = self._opened = 0

    def seal(self, text: bytes) -> bytes:
        """Encrypt and authenticate; each box has its number."""
        self._sealed += 1
        return self._seal.encrypt(self._sealed.to_bytes(12), text, None)

    def open(self, box: bytes) -> bytes:
        """Raises _WrongCode."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- only while pairing

        self._opened += 1
        try:
            return self._open.decrypt(self._opened.to_bytes(12), box, None)
        except InvalidTag:
            raise _WrongCode from None


@dataclass(slots=True)
class _Line:
    """Frames: two bytes of length, a letter, and the rest."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def address(self) -> str:
        """The other end's."""
        return str((self.writer.get_extra_info("peername") or ("",))[0])

    @property
    def own_address(self) -> str:
        """This end's."""
        return str((self.writer.get_extra_info("sockname") or ("",))[0])

    async def send(self, kind: bytes, data: bytes) -> None:
        """One frame."""
        self.writer.write(len(data).to_bytes(2) + kind + data)
        await self.writer.drain()

    async def receive(self, kind: bytes) -> bytes:
        """The next frame, of that kind.  Raises PairingFailed with the other side's words when it refuses."""
        head = await self.reader.readexactly(3)
        length = int.from_bytes(head[:2])
        if length > LONGEST_FRAME:
            raise PairingFailed("what answers there is not a director that waits to be paired")
        data = await self.reader.readexactly(length)
        if head[2:] == NO:
            raise PairingFailed("".join(letter for letter in data.decode(errors="replace") if letter.isprintable())[:200])
        if head[2:] != kind:
            raise PairingFailed("what answers there is not a director that waits to be paired")
        return data

    async def refuse(self, words: str) -> None:
        """Say no, in words, and end it."""
        await self.send(NO, words.encode())
        raise PairingFailed(words)


def _stretch(code: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 -- only while pairing

    return Scrypt(salt=salt, length=KEY_BYTES, n=2**14, r=8, p=1).derive(code.encode())


def with_seen(told: tuple[str, ...], address: str) -> tuple[str, ...]:
    """The addresses told, and the one that a conversation came from or went to, if it can be kept."""
    try:
        found = str(ipaddress.ip_address(address))
    except ValueError:
        return told
    return told if "%" in found else merged(told, (found,))
