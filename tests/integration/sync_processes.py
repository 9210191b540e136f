"""Two lvsd, each a process of its own beside a real sshd of its own, and between them a wire that a test can cut where it likes.

Each lvsd runs where its sshd does: in a mount namespace in which the user as whom the other director comes is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lvsagent.client import AgentClient, AgentDown
from lvsagent.wire import Receipt
from lvsagent.wire.sync import SyncInfo
from tests.integration.sync_lab import PAIR
from tests.sshd import AT, LAUNCHER, USER, Sshd, folder_for_sshd, running_sshd
from tests.stack import ROOT
from tests.waiting import until

LIMIT_S = 40.0
DISK = "size=512k,mode=755"
PART_BYTES = 65536
LVSD = LAUNCHER[: LAUNCHER.index("os.execv")] + "os.execv(sys.argv[2], sys.argv[2:])\n"


class Wire:
    """Leads to a director's sshd.  ``break_after`` bytes towards it something happens, once: ``then`` says what."""

    def __init__(self, port: int) -> None:
        self.broken = threading.Event()
        self._target = port
        self._left: int | None = None
        self._then: Callable[[], None] = lambda: None
        self._silent = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PART_BYTES)  # what is silent swallows nothing
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, count: int, then: Callable[[], None]) -> None:
        """``then`` is called in the wire's own thread when so many more bytes have gone; it goes on afterwards, if it can."""
        self.broken.clear()
        self._then, self._left = then, count

    def cut(self) -> None:
        """Every connection, with a word."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def fall_silent(self) -> None:
        """Nothing goes through any more, and nobody is told; ``mend`` ends it."""
        self._silent.set()

    def mend(self) -> None:
        """As new; what was under way is lost."""
        self.cut()
        self._silent.clear()

    def close(self) -> None:
        self._server.close()
        self.mend()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._server.accept()
                try:
                    two = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    one.close()
                    continue
                self._sockets += [one, two]
                for source, target, there in ((one, two, True), (two, one, False)):
                    threading.Thread(target=self._carry, args=(source, target), kwargs={"there": there}, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, *, there: bool) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(PART_BYTES):
                if there:
                    self._count(len(data))
                if self._silent.is_set():
                    until(lambda: not self._silent.is_set(), LIMIT_S)
                    return
                target.sendall(data)

    def _count(self, size: int) -> None:
        if self._left is None:
            return
        self._left -= size
        if self._left <= 0:
            self._left = None
            self._then()
            self.broken.set()


@dataclass
class Director:
    """One of them.  ``clock_off_s``: how wrong its wall clock is."""

    sshd: Sshd
    client: AgentClient
    clock_off_s: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    disks: list[Path] = field(default_factory=list)

    @property
    def lvs_cf(self) -> Path:
        return self.sshd.settings.lvs_cf

    def start(self) -> None:
        """Start its lvsd, and wait until it answers."""
        self.launch()
        until(self.answers, LIMIT_S, self.words)

    def launch(self) -> None:
        """Start its lvsd."""
        folder = self.sshd.folder
        program = [sys.executable, "-m", "tests.integration.lvsd_process", str(self.sshd.settings.path), str(folder / "table")]
        argv = ["unshare", "--mount", "--propagation", "private", "/usr/bin/python3", "-I", "-c", LVSD, str(folder / "users"), *program]
        with (folder / "lvsd.log").open("ab") as log:
            self.process = subprocess.Popen([*argv, str(self.clock_off_s)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT)

    def answers(self) -> bool:
        try:
            self.client.sync()
        except AgentDown:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """To its lvsd."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Its lvsd, from one moment to the next."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.kill()

    def accept(self, text: str, *, joins: str = "") -> Receipt:
        """ACCEPT, on top of what is there."""
        return self.client.put_config(text, if_match=self.client.config().etag, joins=joins)

    def sync(self) -> SyncInfo:
        """What its lamp shows; nothing known while it does not answer."""
        try:
            return self.client.sync()
        except AgentDown:
            return SyncInfo()

    def text(self) -> str:
        return self.lvs_cf.read_text()

    def words(self) -> str:
        return f"{self.sshd.folder.name}: {self.sync()}\n{(self.sshd.folder / 'lvsd.log').read_text()[-3000:]}\n{self.sshd.log[-1500:]}"

    @staticmethod
    @contextlib.contextmanager
    def full(folder: Path) -> Iterator[None]:
        """There is no room left in one of its disks."""
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
        try:
            yield
        finally:
            filler.unlink()


@dataclass
class Both:
    """lefty and righty; ``wire`` is lefty's way to righty."""

    lefty: Director
    righty: Director
    wire: Wire

    def __iter__(self) -> Iterator[Director]:
        return iter((self.lefty, self.righty))

    def words(self) -> str:
        return "\n\n".join(one.words() for one in self)

    def until(self, lefty: str, righty: str, limit_s: float = LIMIT_S) -> None:
        """Wait until the lamps say so; each is asked to look, as a heartbeat would have it look."""

        def found() -> bool:
            seen = (self.lefty.sync().state, self.righty.sync().state)
            for one in self:
                if seen != (lefty, righty) and not one.sync().reachable:
                    one.client.sync_action("now")
            return seen == (lefty, righty)

        until(found, limit_s, self.words)

    def in_step(self, text: str) -> None:
        """Wait until both are, with this text; then both files and both lamps are right."""
        self.until("in_step", "in_step")
        until(self._lamps_agree, LIMIT_S, self.words)
        assert self.lefty.text() == self.righty.text() == text
        self.whole()

    def _lamps_agree(self) -> bool:
        """What each says of itself is what the other one says of it, and nothing is different."""
        here, there = self.lefty.sync(), self.righty.sync()
        return (here.equal, here.differences, here.peer, there.peer) == (there.equal, [], there.here, here.here) and there.equal

    def whole(self) -> None:
        """Each file is a revision of its director's history, byte for byte, and what it runs."""
        for one in self:
            prints = one.sync().here
            found = next(each for each in one.client.history(limit=1000).revisions if each.etag == prints.file)
            kept = one.client.revision_text(found.number)
            assert kept is not None
            assert (one.text(), found.outcome, prints.applied) == (kept.text, "applied", found.etag), one.words()


@contextlib.contextmanager
def both(*, clock_off_s: float = 0.0, disks: bool = False) -> Iterator[Both]:
    """Both run, paired, in step with ``PAIR``.  ``disks``: righty's lvs.cf and history are on small disks of their own."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(folder_for_sshd())
        one, two = (stack.enter_context(running_sshd(root / name)) for name in ("lefty", "righty"))
        wire = Wire(two.port)
        stack.callback(wire.close)
        one.keys.keep(replace(two.keys.introduce("righty", ("127.0.0.1",)), port=wire.port), AT)
        two.keys.keep(one.keys.introduce("lefty", ("127.0.0.1",)), AT)
        found = [Director(_with_lvs_cf(sshd), AgentClient(sshd.settings.agent_socket, actor="tester")) for sshd in (one, two)]
        lefty, righty = found
        righty.clock_off_s = clock_off_s
        if disks:
            for folder in (righty.lvs_cf.parent, righty.sshd.settings.state_dir):
                _small_disk(stack, folder)
        two.keys.keep(one.keys.introduce("lefty", ("127.0.0.1",)), AT)
        lefty.lvs_cf.write_text(PAIR)
        for director in found:
            stack.callback(director.close)
            director.launch()
        for director in found:
            until(director.answers, LIMIT_S, director.words)
        pair = Both(lefty, righty, wire)
        pair.in_step(PAIR)
        yield pair


def _with_lvs_cf(sshd: Sshd) -> Sshd:
    """lvs.cf in a folder of its own, and a socket that the other director's user can reach, as after an installation."""
    folder, path = sshd.folder, sshd.settings.path
    for name in ("etc", "users"):
        (folder / name).mkdir()
    path.write_text(
        path.read_text().replace(f'"{folder}/lvs.cf"', f'"{folder}/etc/lvs.cf"') + f'socket_group = "{USER}"\nconfirm_share = 1\n'
    )
    sshd.settings = replace(sshd.settings, lvs_cf=folder / "etc" / "lvs.cf")
    return sshd


def _small_disk(stack: contextlib.ExitStack, folder: Path) -> None:
    held = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "none", str(folder)], check=True)
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    for path, data in held.items():
        (folder / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        os.chmod(folder / path, 0o600)  # noqa: PTH101 -- as it was
