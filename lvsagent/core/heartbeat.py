"""The datagram that one director tells the other with, and the door it has to pass on the other side.

Pure: bytes in, words out; the time is an argument.  Nothing here raises for anything that came off the network, and bytes that are not
taken change nothing.

A datagram carries two signatures: one made with the present key of the pair and one with the key before, so that a change of key loses
no beat, whichever side changes first.

Every datagram is stamped with its sender's own monotonic clock and returns the newest stamp that was heard from the other side.  The
clocks of the two need not agree: a datagram of somebody not yet known is taken only if it returns one of *our* stamps, and a recent one.
What was recorded earlier, however authentic, cannot.  Of the one who is known, each stamp is taken once, out of order within a window,
and never when it has been long on its way.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lvsagent.core.failover_types import Beat
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY, STANDBY, STARTING, STOPPED, UNKNOWN

MAGIC = b"LVSp"
VERSION = 1
KEY_BYTES = 32
PATHS = ("public", "private")
WINDOW_US = 10_000_000
"""A datagram that was overtaken by another one sent this much later is not taken any more."""
PROOF_US = 1_000_000
"""Whoever is not known may take this long to return a stamp, however short the dead time."""
DRIFT = 0.001
"""Two monotonic clocks are never further apart in speed than this."""

_SIGNATURE_BYTES = 32
_CONTEXT = b"director heartbeat 1"
_HEAD = struct.Struct("!4sB")
_BODY = struct.Struct("!4sBBBBBB16sQQI16sQ16sQIdddqIIdd24s32s")
SIZE = _BODY.size + 2 * _SIGNATURE_BYTES

_IDENTITIES = (UNKNOWN, PRIMARY, BACKUP)
_ROLES = (STARTING, STANDBY, ACTIVE, STOPPED)
_FLAGS = ("stepping_down", "maintenance", "links_whole", "fit", "confirmed", "wants_role")
_NEVER_MS = 0xFFFFFFFF
_NOBODY = ""


class Refusal(StrEnum):
    """Why a datagram was not taken."""

    TRUNCATED = "truncated"
    OVERSIZED = "oversized"
    FOREIGN = "foreign"
    VERSION = "another version"
    FORGED = "wrong key"
    OWN = "our own"
    OTHER_PATH = "from another link"
    REPLAYED = "replayed"
    STALE = "stale"
    UNPROVEN = "not yet proven fresh"


@dataclass(frozen=True, slots=True)
class Echo:
    """A stamp and whose it is (a boot id): what is returned to its owner."""

    boot_id: str = _NOBODY
    stamp: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """A beat on its way along ``path``.  ``stamp`` is in microseconds; ``count`` goes up by one with each datagram on this path.

    ``heard_ms``: how long ago its sender heard us on this path (``None``: never).  ``wall``: its sender's idea of the time of day.
    ``name``: what its sender is called.  ``yielded_s``: it gave its role up because both were active, for so long (0: it did not).
    """

    path: str
    beat: Beat
    stamp: int
    count: int = 0
    echo: Echo = Echo()
    heard_ms: int | None = None
    keepalive_s: float = 0.0
    wall: float = 0.0
    version: str = ""
    name: str = ""
    yielded_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Keys:
    """The key of the pair and the one before it, if that is still taken."""

    present: bytes
    previous: bytes | None = None

    @property
    def all(self) -> tuple[bytes, ...]:
        """Those that are taken."""
        return (self.present,) if self.previous is None else (self.present, self.previous)


@dataclass(frozen=True, slots=True)
class Taken:
    """A datagram that passed.  ``newcomer``: its sender was not known before; ``present_key``: signed with the present key."""

    datagram: Datagram
    newcomer: bool
    present_key: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """One that did not.  ``challenge``: its sender holds our key, and can prove itself by hearing this stamp of its own from us."""

    reason: Refusal
    challenge: Echo | None = None


def encode(datagram: Datagram, keys: Keys) -> bytes:
    """The bytes to send.  Numbers too large for their field are cut to what it holds."""
    beat = datagram.beat
    body = _BODY.pack(
        MAGIC,
        VERSION,
        sum(getattr(beat, name) << bit for bit, name in enumerate(_FLAGS)),
        _IDENTITIES.index(beat.identity),
        _ROLES.index(beat.role),
        PATHS.index(datagram.path),
        sum(1 << PATHS.index(path) for path in beat.hears),
        bytes.fromhex(beat.boot_id),
        beat.number,
        datagram.stamp,
        datagram.count & 0xFFFFFFFF,
        bytes.fromhex(datagram.echo.boot_id),
        datagram.echo.stamp,
        bytes.fromhex(beat.heard_boot_id),
        beat.heard_number,
        _NEVER_MS if datagram.heard_ms is None else max(0, min(datagram.heard_ms, _NEVER_MS - 1)),
        beat.role_for_s,
        beat.deadtime_s,
        datagram.keepalive_s,
        max(-(1 << 63), min(beat.serial, (1 << 63) - 1)),
        _unsigned(beat.up),
        _unsigned(beat.total),
        datagram.wall,
        datagram.yielded_s,
        datagram.version.encode(errors="replace")[:24],
        datagram.name.encode(errors="replace")[:32],
    )
    return body + _signature(body, keys.present) + _signature(body, keys.previous or keys.present)


def decode(data: bytes, keys: Keys) -> tuple[Datagram, bool] | Refusal:
    """What the bytes say, and whether they are signed with the present key; or why they say nothing.  Never raises."""
    if len(data) < _HEAD.size:
        return Refusal.TRUNCATED
    magic, version = _HEAD.unpack_from(data)
    if magic != MAGIC:
        return Refusal.FOREIGN
    if version != VERSION:
        return Refusal.VERSION
    if len(data) != SIZE:
        return Refusal.TRUNCATED if len(data) < SIZE else Refusal.OVERSIZED
    body = data[: _BODY.size]
    signatures = (data[_BODY.size : -_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:])
    signer = next((key for key in keys.all if _signed(body, signatures, key)), None)
    if signer is None:
        return Refusal.FORGED
    datagram = _unpacked(body)
    return Refusal.FOREIGN if datagram is None else (datagram, signer is keys.present)


def key_name(key: bytes) -> str:
    """What a key may be called without giving it away."""
    return hashlib.sha256(_CONTEXT + b" name" + key).hexdigest()[:8]


def _unpacked(body: bytes) -> Datagram | None:
    (
        _magic, _version, flags, identity, role, path, hears, boot_id, number, stamp, count, echo_of, echo, heard_boot_id, heard_number,
        heard_ms, role_for_s, deadtime_s, keepalive_s, serial, up, total, wall, yielded_s, version, name,
    ) = _BODY.unpack(body)  # fmt: skip
    durations = (role_for_s, deadtime_s, keepalive_s, wall, yielded_s)
    if identity >= len(_IDENTITIES) or role >= len(_ROLES) or path >= len(PATHS) or not all(0 <= one < math.inf for one in durations):
        return None
    return Datagram(
        path=PATHS[path],
        beat=Beat(
            identity=_IDENTITIES[identity],
            boot_id=_name(boot_id),
            number=number,
            role=_ROLES[role],
            role_for_s=role_for_s,
            deadtime_s=deadtime_s,
            heard_boot_id=_name(heard_boot_id),
            heard_number=heard_number,
            hears=tuple(name for bit, name in enumerate(PATHS) if hears & 1 << bit),
            serial=serial,
            up=up,
            total=total,
            **{name: bool(flags & 1 << bit) for bit, name in enumerate(_FLAGS)},
        ),
        stamp=stamp,
        count=count,
        echo=Echo(_name(echo_of), echo),
        heard_ms=None if heard_ms == _NEVER_MS else heard_ms,
        keepalive_s=keepalive_s,
        wall=wall,
        version=_words(version),
        name=_words(name),
        yielded_s=yielded_s,
    )


def _name(boot_id: bytes) -> str:
    return boot_id.hex() if any(boot_id) else _NOBODY


def _signature(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _CONTEXT + body, "sha256")


def _signed(body: bytes, signatures: Sequence[bytes], key: bytes) -> bool:
    ours = _signature(body, key)
    return any(hmac.compare_digest(ours, theirs) for theirs in signatures)


def _unsigned(number: int) -> int:
    return max(0, min(number, 0xFFFFFFFF))


def _words(field_bytes: bytes) -> str:
    text = field_bytes.rstrip(b"\0").decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)


@dataclass(slots=True)
class _Window:
    """The stamps taken on one path, and how fast a datagram has come along it at best."""

    newest: int = -1
    taken: set[int] = field(default_factory=set)
    offset: float = math.inf
    offset_at: int = 0

    def fresh(self, stamp: int, now: int, patience_us: float) -> bool:
        """Whether it has not been under way for much longer than others before it."""
        return now - stamp <= self._best(now) + patience_us

    def take(self, stamp: int, now: int, patience_us: int) -> None:
        """Remember it.  One that was taken although it looks old: its sender's clock stood still (a suspended machine), so measure anew."""
        best = self._best(now) if self.fresh(stamp, now, patience_us) else math.inf
        self.offset = min(best, now - stamp)
        self.offset_at = now
        self.newest = max(self.newest, stamp)
        self.taken.add(stamp)
        if len(self.taken) > 64 and min(self.taken) < self.newest - 2 * WINDOW_US:
            self.taken = {one for one in self.taken if one > self.newest - WINDOW_US}

    def passed(self, stamp: int) -> bool:
        """Whether it is too old to say if it was taken before."""
        return stamp <= self.newest - WINDOW_US

    def _best(self, now: int) -> float:
        return self.offset + (now - self.offset_at) * DRIFT


class Door:
    """Lets the other director's datagrams in, and nobody else's.  ``boot_id`` names this pulse; times are microseconds of its clock."""

    def __init__(self, boot_id: str, now: int) -> None:
        self._boot_id = boot_id
        self._peer = _NOBODY
        self._since = now
        self._windows: dict[str, _Window] = {}
        self._newest = Echo()

    @property
    def echo(self) -> Echo:
        """The newest stamp of the other side that was taken: what our own datagrams return."""
        return self._newest

    def take(self, data: bytes, keys: Keys, path: str, now: int, patience_us: int) -> Taken | Refused:
        """Look at one datagram from ``path``.  ``patience_us``: how long one may be under way."""
        decoded = decode(data, keys)
        if isinstance(decoded, Refusal):
            return Refused(decoded)
        datagram, present_key = decoded
        if datagram.beat.boot_id in (self._boot_id, _NOBODY):
            return Refused(Refusal.OWN)
        if datagram.path != path:
            return Refused(Refusal.OTHER_PATH)
        if refused := self._why_not(datagram, now, patience_us):
            return refused
        window = self._windows.get(path)
        newcomer = datagram.beat.boot_id != self._peer or (window is not None and window.passed(datagram.stamp))
        if newcomer:
            self._peer, self._since, self._windows, self._newest = datagram.beat.boot_id, now, {}, Echo()
        self._windows.setdefault(path, _Window()).take(datagram.stamp, now, patience_us)
        if datagram.stamp > self._newest.stamp:
            self._newest = Echo(datagram.beat.boot_id, datagram.stamp)
        return Taken(datagram, newcomer, present_key)

    def _why_not(self, datagram: Datagram, now: int, patience_us: int) -> Refused | None:
        challenge = Echo(datagram.beat.boot_id, datagram.stamp)
        if datagram.beat.boot_id != self._peer:
            proven = self._proven(datagram.echo, now, max(patience_us, PROOF_US))
            return None if proven else Refused(Refusal.UNPROVEN, challenge)
        proven = self._proven(datagram.echo, now, patience_us)
        window = self._windows.get(datagram.path)
        if window is None:  # the first on this path: no other one to compare it with but those on other paths
            fresh = proven or datagram.stamp > self._newest.stamp - patience_us
            return None if fresh else Refused(Refusal.STALE, challenge)
        if datagram.stamp in window.taken:
            return Refused(Refusal.REPLAYED)
        if window.passed(datagram.stamp) and not proven:  # a machine that was put back to an earlier moment can prove itself
            return Refused(Refusal.REPLAYED, challenge)
        if not (proven or window.fresh(datagram.stamp, now, patience_us)):
            return Refused(Refusal.STALE, challenge)
        return None

    def _proven(self, echo: Echo, now: int, patience_us: int) -> bool:
        """Whether it returns a stamp of ours that is recent, and younger than anything its sender's predecessor can have heard."""
        return echo.boot_id == self._boot_id and self._since < echo.stamp <= now and now - echo.stamp <= patience_us
