"""Heartbeats as they leave and come in: sockets, keys, the door, counters.

Owns the way of a beat.  What it means for the role is the machine's business; nothing here waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from lvsagent.adapters.heartbeat_key import KeyFile
from lvsagent.core.failover import Beat
from lvsagent.core.heartbeat import PATHS, Datagram, Door, Echo, Keys, Refusal, Refused, Taken, encode, key_name
from lvsagent.messages import HeartbeatPath
from lvsagent.ports import Clock
from lvsagent.wire import HeartbeatLinkInfo

RETIRE_S = 60.0
"""How long after the other director has shown that it has the present key the one before it is still taken."""
ANSWER_SHARE = 4
"""At most so many answers to a newcomer in a keepalive interval."""


class Socket(Protocol):
    """A ``lvsagent.adapters.heartbeat_udp.HeartbeatSocket``, as far as it matters here."""

    problem: str

    def open(self) -> bool: ...

    def send(self, data: bytes) -> bool: ...

    def drain(self) -> None: ...

    def close(self) -> None: ...


OpenSocket = Callable[[str, str, int, Callable[[bytes, bool], None]], Socket]
"""Local address, the other director's, port, and what is called with each datagram."""


@dataclass
class _Link:
    path: HeartbeatPath
    port: int
    socket: Socket
    sent: int = 0
    received: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    heard_at: float | None = None
    heard_wall: float = 0.0
    answered_at: float = float("-inf")

    def count(self, number: int, *, newcomer: bool) -> None:
        """What is missing in the numbers was lost; what comes late was not."""
        if newcomer or self.received == 0:
            self.newest = number
        elif number > self.newest:
            self.lost += number - self.newest - 1
            self.newest = number
        else:
            self.lost = max(0, self.lost - 1)
        self.received += 1


class Beats:
    """``on_beat(path, beat)`` gets what passed the door; ``tell`` is for the event log."""

    def __init__(
        self,
        key_file: KeyFile,
        clock: Clock,
        boot_id: str,
        open_socket: OpenSocket,
        on_beat: Callable[[str, Beat], None],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self.last: Datagram | None = None
        self.version = self.name = ""
        self.yielded_s = 0.0
        self._key_file = key_file
        self._clock = clock
        self._open_socket = open_socket
        self._on_beat = on_beat
        self._tell = tell
        self._links: dict[str, _Link] = {}
        self._keys: Keys | None = None
        self._shown_at: float | None = None
        self._key_problem = ""
        self._beat: Beat | None = None
        self._keepalive_s = 1.0
        self._deadtime_s = 3.0
        self._stamp = int(clock.now() * 1e6)
        self._door = Door(boot_id, self._stamp)

    # --- keys ------------------------------------------------------------------------------------------------------------------

    @property
    def keyed(self) -> bool:
        """Whether there is a key to sign with."""
        return self._keys is not None

    @property
    def key_words(self) -> str:
        """``present``, ``missing``, or what is wrong with the file."""
        if self._keys is not None:
            return "present"
        return "missing" if self._key_file.missing else self._key_file.problem

    def look_at_key(self) -> bool:
        """Take a changed file over; says whether there is a key now where there was none.  The previous key goes when its time has come."""
        before = self.keyed
        if self._key_file.look() and self._key_file.keys is not None:
            self._keys, self._shown_at = self._key_file.keys, None
            also = f"; {key_name(self._keys.previous)} is taken as well" if self._keys.previous else ""
            self._tell("role", "info", f"the heartbeat key is {key_name(self._keys.present)}{also}")
        if self._keys and self._keys.previous and self._shown_at is not None and self._clock.now() - self._shown_at >= RETIRE_S:
            self._tell(
                "role", "info", f"the other director has the present heartbeat key: {key_name(self._keys.previous)} is no longer taken"
            )
            self._keys = Keys(self._keys.present)
        problem = "" if self._key_file.missing and not self.keyed else self._key_file.problem
        if problem and problem != self._key_problem:
            self._tell("problem", "error", f"the heartbeat key's file: {problem}")
        self._key_problem = problem
        return self.keyed and not before

    # --- links -----------------------------------------------------------------------------------------------------------------

    def configure(self, paths: Iterable[HeartbeatPath], port: int, keepalive_s: float, deadtime_s: float) -> None:
        """Listen on these ways and no others; counters of those that stay go on."""
        self._keepalive_s, self._deadtime_s = keepalive_s, deadtime_s
        wanted = {path.name: path for path in paths if path.name in PATHS}
        for name, link in tuple(self._links.items()):
            if wanted.get(name) != link.path or link.port != port:
                link.socket.close()
                del self._links[name]
        for name, path in wanted.items():
            if name not in self._links:
                socket = self._open_socket(path.local, path.peer, port, self._listener(name))
                self._links[name] = _Link(path, port, socket)
                socket.open()

    def close(self) -> None:
        """Nothing comes in any more."""
        for link in self._links.values():
            link.socket.close()

    def drain(self) -> None:
        """Take in what waits on the sockets."""
        for link in tuple(self._links.values()):
            link.socket.drain()

    def send(self, beat: Beat, paths: Iterable[str], times: int = 1) -> None:
        """Send it now."""
        self._beat = beat
        for _ in range(times):
            for path in paths:
                if path in self._links:
                    self._send_on(self._links[path], self._door.echo)

    def infos(self, silent_after_s: float) -> list[HeartbeatLinkInfo]:
        """Each way as it is now."""
        now = self._clock.now()
        infos = []
        for name, link in self._links.items():
            up = link.heard_at is not None and now - link.heard_at < silent_after_s
            infos.append(
                HeartbeatLinkInfo(
                    name=name,
                    local=link.path.local,
                    peer=link.path.peer,
                    state="never" if link.heard_at is None else "up" if up else "silent",
                    heard_at=link.heard_wall,
                    received=link.received,
                    lost=link.lost,
                    refused=link.refused.total(),
                    refused_reasons=dict(link.refused),
                )
            )
        return infos

    @property
    def heard_wall(self) -> float:
        """When anything was heard last, on any way."""
        return max((link.heard_wall for link in self._links.values()), default=0.0)

    def problems(self) -> list[str]:
        """Why something cannot be sent, in words."""
        return [f"heartbeat on the {name} link: {link.socket.problem}" for name, link in self._links.items() if link.socket.problem]

    # --- datagrams -------------------------------------------------------------------------------------------------------------

    def _listener(self, name: str) -> Callable[[bytes, bool], None]:
        return lambda data, from_peer: self._take(name, data, from_peer=from_peer)

    def _take(self, name: str, data: bytes, *, from_peer: bool) -> None:
        link = self._links.get(name)
        if link is None:
            return
        if not from_peer:
            link.refused[Refusal.FOREIGN.value] += 1
            return
        if self._keys is None:
            link.refused["there is no key"] += 1
            return
        result = self._door.take(data, self._keys, name, self._stamp_now(), self._patience_us())
        if isinstance(result, Refused):
            link.refused[result.reason.value] += 1
            if result.challenge is not None:
                self._answer(link, result.challenge)
            return
        self._taken(link, result)

    def _taken(self, link: _Link, taken: Taken) -> None:
        datagram = taken.datagram
        link.count(datagram.count, newcomer=taken.newcomer or link.heard_at is None)
        link.heard_at, link.heard_wall = self._clock.now(), self._clock.wall()
        if self._keys and self._keys.previous and taken.present_key and self._shown_at is None:
            self._shown_at = link.heard_at
        if self.last is None or taken.newcomer or datagram.beat.number >= self.last.beat.number:
            self.last = datagram
        self._on_beat(link.path.name, datagram.beat)
        if datagram.heard_ms is None:
            self._answer(link, self._door.echo)

    def _answer(self, link: _Link, echo: Echo) -> None:
        """At once, so that both know each other within one round trip; never more often than beats are worth."""
        now = self._clock.now()
        if now - link.answered_at >= self._keepalive_s / ANSWER_SHARE:
            link.answered_at = now
            self._send_on(link, echo)

    def _send_on(self, link: _Link, echo: Echo) -> None:
        if self._keys is None or self._beat is None:
            return
        link.sent += 1
        heard_ms = None if link.heard_at is None else int((self._clock.now() - link.heard_at) * 1000)
        datagram = Datagram(
            path=link.path.name,
            beat=self._beat,
            stamp=self._next_stamp(),
            count=link.sent,
            echo=echo,
            heard_ms=heard_ms,
            keepalive_s=self._keepalive_s,
            wall=self._clock.wall(),
            version=self.version,
            name=self.name,
            yielded_s=self.yielded_s,
        )
        link.socket.send(encode(datagram, self._keys))

    def _patience_us(self) -> int:
        theirs = self.last.beat.deadtime_s if self.last else 0.0
        return int(max(self._deadtime_s, theirs) * 1e6)

    def _stamp_now(self) -> int:
        return max(self._stamp, int(self._clock.now() * 1e6))

    def _next_stamp(self) -> int:
        """Later than any before."""
        self._stamp = max(self._stamp + 1, int(self._clock.now() * 1e6))
        return self._stamp
