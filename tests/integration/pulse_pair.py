"""Two real pulse processes on loopback, and a relay between them that can listen, repeat and cut.

The test plays lvsd: it configures each over its socket and hears what it says.  Addresses are those of the userspace plane: remembered,
never put on an interface.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lvsagent.adapters.heartbeat_key import make_key_file, take_key_file
from lvsagent.messages import AddressSpec, FromPulse, HeartbeatPath, PulseConfigure, PulseEvent, PulseHealth, PulseState
from tests.waiting import until

HOSTS = {"lefty": ("127.0.0.11", "127.0.0.13"), "righty": ("127.0.0.12", "127.0.0.14")}
"""Each one's address, and where it believes the other one to be: the relay's."""
IDENTITIES = {"lefty": "primary", "righty": "backup"}
OTHER = {"lefty": "righty", "righty": "lefty"}
VIP = AddressSpec(address="127.0.0.100", prefix=32, interface="lo", label="lo:1")


class Relay:
    """Carries every datagram to the other side.  ``heard`` holds what each one sent; who is in ``cut`` is not carried."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.heard: dict[str, list[bytes]] = {"lefty": [], "righty": []}
        self.cut: set[str] = set()
        self._sockets = {name: _bound(seen_as, self.port) for name, (_own, seen_as) in HOSTS.items()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def send(self, data: bytes, to: str) -> None:
        """As if the other director had sent it."""
        self._sockets[to].sendto(data, (HOSTS[to][0], self.port))

    def send_from_elsewhere(self, data: bytes, to: str) -> None:
        """From an address that is nobody's."""
        with _bound("127.0.0.99", 0) as stranger:
            stranger.sendto(data, (HOSTS[to][0], self.port))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for one in self._sockets.values():
            one.close()

    def _carry(self) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select(list(self._sockets.values()), [], [], 0.05)
            for name, one in self._sockets.items():
                if one in ready:
                    with contextlib.suppress(OSError):
                        self._pass_on(name, one.recv(4096))

    def _pass_on(self, name: str, data: bytes) -> None:
        """``name`` sent it."""
        self.heard[name].append(data)
        if name not in self.cut:
            self.send(data, OTHER[name])


@dataclass
class Pulse:
    """One director's pulse, and everything it has said."""

    name: str
    folder: Path
    port: int
    said: list[PulseState | PulseEvent] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    configured: PulseConfigure | None = None
    _connection: socket.socket | None = None

    @property
    def key(self) -> Path:
        return self.folder / "heartbeat.key"

    def start(self) -> None:
        """Start it, and be its lvsd."""
        argv = [sys.executable, "-P", "-m", "lvsagent.cli", "child", "pulse", "--config", str(self.folder / "agent.toml")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        until(self._connect, words=self.words)
        if self.configured is not None:
            self.send(self.configured)

    def configure(self, **more: Any) -> None:
        """Tell it lvs.cf; what is not given stays as it was."""
        own, peer = HOSTS[self.name]
        first = PulseConfigure(
            etag="etag",
            identity=IDENTITIES[self.name],
            addresses=[VIP],
            redundant=True,
            heartbeat_port=self.port,
            paths=[HeartbeatPath(name="public", local=own, peer=peer)],
        )
        self.configured = msgspec.structs.replace(self.configured or first, **more)
        self.send(self.configured)

    def send(self, message: msgspec.Struct) -> None:
        assert self._connection is not None
        self._connection.sendall(msgspec.json.encode(message) + b"\n")

    def kill(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def end(self, number: signal.Signals) -> None:
        """Send it a signal that ends it, and wait until it has."""
        assert self.process is not None
        if self.process.poll() is None:
            self.kill(number)
            self.process.wait(20)

    @property
    def state(self) -> PulseState:
        return next(one for one in reversed(self.said) if isinstance(one, PulseState))

    @property
    def role(self) -> str:
        return self.state.role if any(isinstance(one, PulseState) for one in self.said) else ""

    @property
    def events(self) -> list[str]:
        return [one.message for one in self.said if isinstance(one, PulseEvent)]

    def refused(self) -> dict[str, int]:
        """Datagrams that were not taken, by reason."""
        return self.state.links[0].refused_reasons if self.state.links else {}

    def words(self) -> str:
        return f"{self.name}:\n" + "\n".join(self.events[-20:]) + f"\n{(self.folder / 'log').read_text()[-2000:]}"

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.folder / "pulse.sock"))
        except OSError:
            connection.close()
            return False
        self._connection = connection
        threading.Thread(target=self._listen, args=(connection,), daemon=True).start()
        return True

    def _listen(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                self.said.append(msgspec.json.decode(line, type=FromPulse))


@dataclass
class Pair:
    lefty: Pulse
    righty: Pulse
    relay: Relay

    @property
    def both(self) -> tuple[Pulse, Pulse]:
        return self.lefty, self.righty

    def configure(self, **more: Any) -> None:
        for one in self.both:
            one.configure(**more)

    def until(self, condition: Callable[[], object], limit_s: float = 10) -> None:
        until(condition, limit_s, words=lambda: "\n\n".join(one.words() for one in self.both))

    def settle(self, active: str = "lefty") -> None:
        """One active, the other standby, each knows the other."""
        ours, theirs = (self.lefty, self.righty) if active == "lefty" else (self.righty, self.lefty)
        self.until(lambda: self.settled(ours, theirs))

    @staticmethod
    def settled(active: Pulse, standby: Pulse) -> bool:
        return (active.role, standby.role) == ("active", "standby") and {active.state.peer.state, standby.state.peer.state} == {"alive"}


@contextlib.contextmanager
def pulse_pair(folder: Path, **settings: Any) -> Iterator[Pair]:
    """Both running, with one key (``key=False``: without), lefty active."""
    keyed = settings.pop("key", True)
    relay = Relay()
    pulses = {}
    try:
        if keyed:
            make_key_file(folder / "key")
        for name in HOSTS:
            own = folder / name
            own.mkdir()
            (own / "agent.toml").write_text(
                f'lvs_cf = "{own}/lvs.cf"\nstate_dir = "{own}"\nruntime_dir = "{own}"\ndataplane = "userspace"\nname = "{name}"\n'
            )
            pulses[name] = Pulse(name, own, relay.port)
            if keyed:
                take_key_file(folder / "key", pulses[name].key)
            pulses[name].start()
        pair = Pair(pulses["lefty"], pulses["righty"], relay)
        pair.configure(**settings)
        for one in pair.both:
            one.send(PulseHealth(serial=7, up=2, total=3))
        if keyed:
            pair.settle()
        yield pair
    finally:
        for one in pulses.values():
            with contextlib.suppress(ProcessLookupError):
                one.kill(signal.SIGCONT)
            one.end(signal.SIGKILL)
        relay.close()


def _bound(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


def _free_port() -> int:
    with _bound("127.0.0.11", 0) as probe:
        return int(probe.getsockname()[1])
