"""A small netlink socket: many requests to one send(), errors told apart by their sequence number, dumps as plain bytes.

Owns the framing that generic and route netlink share, and nothing of what the messages mean.  Everything here blocks (for microseconds;
the kernel answers from within send()), so callers run it in a thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

NETLINK_ROUTE = 0
NETLINK_GENERIC = 16

REQUEST = 0x01
MULTI = 0x02
ACK = 0x04
REPLACE = 0x100
EXCL = 0x200
CREATE = 0x400
DUMP = 0x300
DUMP_INTERRUPTED = 0x10

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXT_ACK = 11
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_ERROR_TEXT = 1
_ATTRIBUTE_TYPE = 0x3FFF
_BUFFER_BYTES = 4 << 20
_RECEIVE_BYTES = 1 << 16
_BATCH_BYTES = 1 << 16
_PATIENCE_S = 30.0
_SILENT = "no answer in time"
_DUMP_TRIES = 10
_SEQUENCE_LIMIT = 1 << 31

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port."""

_ATTRIBUTE = struct.Struct("=HH")
_INT = struct.Struct("=i")
_TIMEVAL = struct.Struct("@ll")


class NetlinkError(OSError):
    """The kernel refused a request.  ``errno`` as usual; ``hint`` is the kernel's own sentence, where it has one."""

    def __init__(self, code: int, hint: str = "") -> None:
        super().__init__(code, os.strerror(code))
        self.hint = hint


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Walk attributes: kind, start and end of the payload, without copying."""
    end = len(data) if end is None else end
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & _ATTRIBUTE_TYPE, start + 4, start + length
        start += (length + 3) & ~3


class NetlinkSocket:
    """One conversation with the kernel, in the network namespace of the thread that made it.  Not for two threads at once.

    A kernel that says nothing for ``patience_s`` seconds raises TimeoutError.
    """

    def __init__(self, protocol: int, patience_s: float = _PATIENCE_S) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((0, 0))
            # The kernel's own time limit: with Python's, every send and every recv begins with a poll(), at twice the cost.
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(int(patience_s), int(patience_s % 1 * 1_000_000)))
            for option in (_CAP_ACK, _EXT_ACK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._enlarge_buffers()
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def run(self, requests: Iterable[tuple[int, int, bytes]]) -> dict[int, NetlinkError]:
        """Send requests (type, flags, body) in order, many to a send(); what was refused, by index.

        They are taken as they are sent: a generator's never fill more memory than one send().
        """
        failed: dict[int, NetlinkError] = {}
        batch: list[tuple[int, int, bytes]] = []
        start = size = 0
        for request in requests:
            length = HEADER.size + len(request[2])
            if size + length > _BATCH_BYTES and batch:
                self._run_batch(batch, start, failed)
                start += len(batch)
                batch.clear()
                size = 0
            batch.append(request)
            size += length
        if batch:
            self._run_batch(batch, start, failed)
        return failed

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of a multi-part answer.  Raises NetlinkError; an answer that changed while it was read is asked for again."""
        for _ in range(_DUMP_TRIES):
            bodies, consistent = self._dump_once(kind, body)
            if consistent:
                break
        return bodies

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of a single answer.  Raises NetlinkError."""
        sequence = self._send([(kind, 0, body)])
        for found, _flags, answered, payload in self._receive():
            if answered != sequence:
                continue
            if found == _NLMSG_ERROR:
                raise _error(payload) or NetlinkError(errno.EPROTO)
            return payload
        raise AssertionError("unreachable")

    def _enlarge_buffers(self) -> None:
        """Room for a batch and for the errors of all of it; without the privilege the usual size has to do."""
        for forced, ordinary in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, ordinary, _BUFFER_BYTES)

    def _run_batch(self, batch: Sequence[tuple[int, int, bytes]], place: int, failed: dict[int, NetlinkError]) -> None:
        """Only the last request asks for an acknowledgement: errors come unasked, and the last answer means that all are known.

        ``place`` is the index of the batch's first request.
        """
        last = self._send(batch, ACK)
        first = last - len(batch) + 1
        for found, _flags, sequence, payload in self._receive():
            if found != _NLMSG_ERROR or not first <= sequence <= last:
                continue
            if error := _error(payload):
                failed[place + sequence - first] = error
            if sequence == last:
                return

    def _dump_once(self, kind: int, body: bytes) -> tuple[list[bytes], bool]:
        sequence = self._send([(kind, DUMP, body)])
        bodies: list[bytes] = []
        consistent = True
        for found, flags, answered, payload in self._receive():
            if answered != sequence:
                continue
            consistent = consistent and not flags & DUMP_INTERRUPTED
            if found in {_NLMSG_DONE, _NLMSG_ERROR}:
                if error := _error(payload):
                    raise error
                return bodies, consistent
            bodies.append(payload)
        raise AssertionError("unreachable")

    def _send(self, batch: Sequence[tuple[int, int, bytes]], last_flags: int = 0) -> int:
        """Send requests as one datagram; the sequence number of the last.  ``last_flags`` are for the last one alone."""
        first = (self._sequence if self._sequence < _SEQUENCE_LIMIT else 0) + 1
        pack, size = HEADER.pack, HEADER.size
        heads = [pack(size + len(body), kind, flags | REQUEST, place, 0) for place, (kind, flags, body) in enumerate(batch, first)]
        kind, flags, body = batch[-1]
        self._sequence = first + len(batch) - 1
        heads[-1] = pack(size + len(body), kind, flags | REQUEST | last_flags, self._sequence, 0)
        parts = [part for head, (_kind, _flags, body) in zip(heads, batch, strict=True) for part in (head, body)]
        try:
            self._socket.send(b"".join(parts))
        except BlockingIOError:
            raise TimeoutError(errno.ETIMEDOUT, _SILENT) from None
        return self._sequence

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Messages as they come: type, flags, sequence number, body.  Raises TimeoutError."""
        unpack, size = HEADER.unpack_from, HEADER.size
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                raise TimeoutError(errno.ETIMEDOUT, _SILENT) from None
            position, last = 0, len(data) - size
            while position <= last:
                length, kind, flags, sequence, _port = unpack(data, position)
                yield kind, flags, sequence, data[position + size : position + length]
                position += (length + 3) & ~3


def _error(payload: bytes) -> NetlinkError | None:
    """What an acknowledgement says; ``None``: done."""
    (code,) = _INT.unpack_from(payload) if len(payload) >= 4 else (0,)
    if code >= 0:
        return None
    hint = ""
    for kind, start, end in attributes(payload, 4 + HEADER.size):
        if kind == _ERROR_TEXT:
            hint = payload[start:end].rstrip(b"\0").decode(errors="replace")
    return NetlinkError(-code, hint)
