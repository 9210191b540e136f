"""Two directors on the kernel's IPVS, each with its own real sshd, paired by ``lvsctl pair``: one lvs.cf, whatever happens between them.

Every step ends with both files whole.  What is held to a time is tried a few times: the guest has one processor, for both directors, both
sshd and whatever else the machine does, and what the two do is what the best round shows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from lvsagent.client import AgentDown
from lvsagent.wire import OverrideRequest, PeerReceipt
from lvsagent.wire.sync import SyncInfo
from tests.kernel import cluster as lab
from tests.kernel import net, two_directors
from tests.kernel.agent import virtual
from tests.kernel.two_directors import LIMIT_S, Director, Pair, lvs_cf
from tests.sshd import UID, USER, Sshd, folder_for_sshd, needs_sshd, running_sshd
from tests.waiting import until

pytestmark = [pytest.mark.kernel("one-file", alone=True), needs_sshd]

LVSCTL = str(Path(sys.executable).with_name("lvsctl"))
CHECKED = ('send = "GET / HTTP/1.0\\r\\n\\r\\n"', 'expect = "HTTP"')
TEXT = lvs_cf(services=[virtual("http", *CHECKED)]).replace("deadtime = 0.3", "deadtime = 1")
SSHD_ADDRESSES = {"lefty": ("192.0.2.11", "10.11.12.11"), "righty": ("192.0.2.12", "10.11.12.12")}
IN_FORCE_S = 1.0
ROUNDS = 10
"""A busy machine may spoil some; what the two do is what the best of them shows."""
GONE_S = 15.0
"""By then the lamp says that a director is away which vanished in the middle of a conversation."""
SAMPLE_S = 0.004


@dataclass
class OneFile:
    """Both directors with what leads from one to the other."""

    pair: Pair
    sshd: dict[str, Sshd]
    cluster: lab.Cluster

    def words(self) -> str:
        """For a failing test."""
        said = [f"{director.director}: {sync_of(director)}" for director in self.pair]
        return "\n".join([*said, *(f"{name}: {one.log[-2000:]}" for name, one in self.sshd.items()), self.pair.words()])

    def until(self, state: str) -> None:
        """Wait until the lamp of both says so."""
        until(lambda: [sync_of(director).state for director in self.pair] == [state, state], LIMIT_S, self.words)

    def in_step(self) -> None:
        """Wait until both are, and then everything is the same thing, as the lamp and as the kernel say."""
        self.until("in_step")
        until(lambda: all(sync_of(director).equal for director in self.pair), LIMIT_S, self.words)
        assert self.pair.lefty.lvs_cf.read_bytes() == self.pair.righty.lvs_cf.read_bytes()
        until(lambda: rules("lefty") == rules("righty"), LIMIT_S, lambda: f"{rules('lefty')}\n{rules('righty')}\n{self.words()}")
        here, there = (sync_of(director).here for director in self.pair)
        assert here == there
        self.whole()

    def whole(self) -> None:
        """Each lvs.cf is a revision of that director's history that ended well, byte for byte, and what it runs."""
        for director in self.pair:
            prints = sync_of(director).here
            found = next(one for one in director.client.history().revisions if one.etag == prints.file)
            text = director.client.revision_text(found.number)
            assert text is not None
            assert director.lvs_cf.read_text() == text.text, self.words()
            assert (found.outcome, found.etag) == ("applied", prints.applied), self.words()


def sync_of(director: Director) -> SyncInfo:
    """What the lamp shows there; nothing known while its agent is away."""
    try:
        return director.client.sync()
    except AgentDown:
        return SyncInfo()


def rules(name: str) -> list[str]:
    """``ipvsadm -Sn`` on a director."""
    with net.namespace(name):
        return sorted(net.output("ipvsadm", "-S", "-n").splitlines())


def accept(director: Director, old: str, new: str, *, guard_s: float = 0.0, joins: str = "") -> PeerReceipt:
    """ACCEPT one change with the next serial number; what became of it on the other one by then."""
    before = director.client.config()
    assert old in before.text
    receipt = director.client.put_config(later(before.text).replace(old, new), if_match=before.etag, guard_s=guard_s, joins=joins)
    assert receipt.written
    assert receipt.peer is not None
    return receipt.peer


def later(text: str, by: int = 1) -> str:
    """With another serial number."""
    first, rest = text.split("\n", 1)
    name, _, serial = first.partition(" = ")
    assert name == "serial_no"
    return f"serial_no = {int(serial) + by}\n{rest}"


@contextlib.contextmanager
def with_the_user(folder: Path) -> Iterator[None]:
    """The user as whom the other director comes is known in the guest, as after an installation.  The host's files stay."""
    with contextlib.ExitStack() as stack:
        for name, line in (("passwd", f"{USER}:x:{UID}:{UID}::/:/bin/sh"), ("group", f"{USER}:x:{UID}:")):
            copy = folder / name
            copy.write_text(Path("/etc", name).read_text().rstrip("\n") + f"\n{line}\n")
            net.output("mount", "--bind", str(copy), f"/etc/{name}")
            stack.callback(net.output, "umount", f"/etc/{name}")
        yield


@pytest.fixture(scope="module")
def both() -> Iterator[OneFile]:
    Path("/run").chmod(0o755)  # the guest's own, which sshd would not trust otherwise
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(two_directors.running())
        root = stack.enter_context(folder_for_sshd())
        stack.enter_context(with_the_user(root))
        settings = (
            f'name = "{{name}}"\nsocket_group = "{USER}"\nsync_user = "{USER}"\nsync_dir = "{root}/{{name}}/sync"\n'
            f'ssh_host_key = "{root}/{{name}}/host_key.pub"\n'
        )
        pair = stack.enter_context(two_directors.pair(TEXT, settings))
        sshd = {}
        for name, addresses in SSHD_ADDRESSES.items():  # now: sshd sees the mounts that were there before it
            with net.namespace(name):
                sshd[name] = stack.enter_context(running_sshd(root / name, addresses, 22))
        found = OneFile(pair, sshd, cluster)
        pair_them(found)
        yield found


def pair_them(both: OneFile) -> None:
    """``lvsctl pair`` on each, over the public network."""

    def lvsctl(director: Director, *words: str) -> subprocess.Popen[str]:
        argv = [LVSCTL, *words, "--config", str(director.settings)]
        with net.namespace(director.director):
            return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    waiting = lvsctl(both.pair.lefty, "pair", "--wait")
    assert waiting.stdout
    waiting.stdout.readline()
    joining = lvsctl(both.pair.righty, *waiting.stdout.readline().split()[1:])
    for process in (joining, waiting):
        _, words = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, words


@pytest.fixture
def one_file(both: OneFile) -> OneFile:
    """Everything settled, lefty active, both in step."""
    both.pair.settle(active="lefty")
    both.in_step()
    return both


def scheduler(name: str) -> str:
    """Of the one virtual server, as a director's kernel has it."""
    with net.namespace(name), open("/proc/thread-self/net/ip_vs") as table:  # noqa: PTH123 -- this thread's namespace
        return next((words[2] for words in map(str.split, table) if words[0] == "TCP"), "")


class Onlooker:
    """Looks at both kernels all the time: when each had the scheduler ``wanted`` first (monotonic)."""

    def __init__(self, wanted: str) -> None:
        self.seen: dict[str, float] = {}
        self._wanted = wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            for name in ("lefty", "righty"):  # in this order, so that a standby that was first is never taken for the second
                if name not in self.seen and scheduler(name) == self._wanted:
                    self.seen[name] = monotonic()


def test_an_accept_is_in_force_on_the_standby_first_and_then_here_within_a_second(one_file: OneFile) -> None:
    before, told = scheduler("lefty"), []
    for number in range(ROUNDS):
        after = ("wlc", "rr", "lc")[number % 3]
        with Onlooker(after) as onlooker:
            began = monotonic()
            receipt = accept(one_file.pair.lefty, f"scheduler = {before}\n", f"scheduler = {after}\n")
            until(lambda: len(onlooker.seen) == 2, LIMIT_S, one_file.words)
        before = after
        one_file.in_step()
        assert any(f"-s {after}" in line for line in rules("righty"))
        took_s, first = max(onlooker.seen.values()) - began, min(onlooker.seen, key=lambda name: onlooker.seen[name])
        told.append((first, round(took_s, 3), receipt.state, round(receipt.waited_s, 3)))
        if (first, receipt.state) == ("righty", "applied") and took_s < IN_FORCE_S:
            assert receipt.etag == one_file.pair.righty.client.config().etag
            return
    raise AssertionError(f"{told}\n{one_file.words()}")


def test_a_crashed_standby_is_behind_by_so_many_and_in_step_when_it_is_back(one_file: OneFile) -> None:
    lefty, righty = one_file.pair
    before = righty.lvs_cf.read_bytes()
    righty.crash()
    for number, (old, new) in enumerate((("weight = 1\n", "weight = 2\n"), ("weight = 2\n", "weight = 3\n")), start=1):
        began = monotonic()
        accept(lefty, old, new)
        assert monotonic() - began < 2
        until(lambda: sync_of(lefty).behind == number and not sync_of(lefty).reachable, GONE_S, one_file.words)  # noqa: B023 -- as above
    assert sync_of(lefty).state == "behind"
    assert "behind by 2" in sync_of(lefty).words
    assert [one.actions for one in sync_of(lefty).differences if one.code == "peer-behind"] == [["now"]]
    until(lambda: "-w 3" in " ".join(rules("lefty")), LIMIT_S, one_file.words)
    assert righty.lvs_cf.read_bytes() == before
    two_directors.release("righty")
    righty.start()
    one_file.pair.settle()
    one_file.in_step()
    assert righty.lvs_cf.read_text().count("weight = 3\n") == 3
    assert [one.serial for one in righty.client.history(limit=3).revisions] == [
        one.serial for one in lefty.client.history(limit=3).revisions
    ]


def test_edited_on_both_while_apart_is_kept_said_and_joined_by_a_merge(one_file: OneFile) -> None:
    lefty, righty = one_file.pair
    base = lefty.client.config().text
    used = scheduler("lefty")
    two_directors.cut("righty")
    until(lambda: lefty.peer == righty.peer == "dead", LIMIT_S, one_file.words)
    accept(lefty, "timeout = 1\n", "timeout = 2\n")
    accept(righty, f"scheduler = {used}\n", "scheduler = sh\n")
    two_directors.heal("righty")
    one_file.until("diverged")
    one_file.whole()
    here, there = (later(base).replace("timeout = 1\n", "timeout = 2\n"), later(base).replace(f"scheduler = {used}\n", "scheduler = sh\n"))
    assert (lefty.lvs_cf.read_text(), righty.lvs_cf.read_text()) == (here, there)
    for director in (lefty, righty):
        assert not sync_of(director).equal
        assert "diverged" in [one.code for one in sync_of(director).differences]
        assert "error" in [one.severity for one in director.state().alerts if one.code == "diverged"]
        until(director.client.conflict, LIMIT_S, one_file.words)
    conflict = righty.client.conflict()
    assert conflict is not None
    assert [one.text.decode() for one in (conflict.base, conflict.here, conflict.there)] == [base, there, here]
    accept(righty, "timeout = 1\n", "timeout = 2\n", joins=conflict.there.head)
    one_file.in_step()
    assert any("-s sh" in line for line in rules("lefty"))
    assert lefty.lvs_cf.read_text() == later(base, 2).replace("timeout = 1\n", "timeout = 2\n").replace(
        f"scheduler = {used}\n", "scheduler = sh\n"
    )


def decide(director: Director, action: str, server: str, **more: str | int) -> None:
    """What an operator says on one of them."""
    director.client.override(OverrideRequest(action=action, virtual="http", server=server, actor="ann", **more))  # type: ignore[arg-type]


def weight(name: str, server: str) -> int | None:
    """Of a real server, as a director's kernel has it; ``None``: it is not in the table."""
    found = [line.split() for line in rules(name) if f"-r {lab.ADDRESSES[server]}:80 " in line]
    return int(found[0][-1]) if found else None


def decided(director: Director) -> dict[str, str]:
    """What each director says of who decided what, and why."""
    return {one.server: one.words for one in director.client.overrides().overrides}


def test_a_drain_holds_over_a_crash_of_the_director_it_was_said_on_and_what_is_said_meanwhile_holds_for_both(one_file: OneFile) -> None:
    lefty, righty = one_file.pair
    decide(lefty, "drain", "number1", reason="new disk")
    until(lambda: (weight("lefty", "number1"), weight("righty", "number1")) == (0, 0), LIMIT_S, one_file.words)
    lefty.crash()
    until(lambda: righty.role == "active", LIMIT_S, one_file.words)
    assert weight("righty", "number1") == 0
    assert "number1" not in one_file.cluster.names(10)
    shown = {one.name: one for one in righty.state().virtual_servers[0].real_servers}["number1"]
    assert shown.state in {"draining", "drained"}
    assert shown.reason.startswith("drained by ann: new disk")
    decide(righty, "auto", "number1")
    decide(righty, "weight", "number2", weight=9)
    assert weight("righty", "number1")
    two_directors.release("lefty")
    lefty.start()  # its disk has the drain, and not what was said since
    one_file.pair.settle()
    one_file.in_step()
    until(lambda: decided(lefty) == decided(righty) == {"number2": "weight 9 given by ann"}, LIMIT_S, one_file.words)
    assert weight("lefty", "number1")
    assert weight("lefty", "number2") == 9
    decide(lefty, "auto", "number2")  # on either of them
    until(lambda: 9 not in (weight("lefty", "number2"), weight("righty", "number2")), LIMIT_S, one_file.words)
    assert (decided(lefty), decided(righty)) == ({}, {})


def test_a_guarded_accept_goes_back_on_both_when_the_active_directors_lvsd_is_killed_in_the_middle(one_file: OneFile) -> None:
    lefty, righty = one_file.pair
    before, since, table = lefty.client.config().text, lefty.state().role.since, rules("lefty")
    accept(lefty, "reentry = 1\n", "reentry = 1\n     persistent = 77\n", guard_s=3.0)
    until(lambda: all("-p 77" in " ".join(rules(name)) for name in two_directors.DIRECTORS), LIMIT_S, one_file.words)
    os.kill(lefty.pids()["lvsd"], signal.SIGKILL)
    until(lambda: "persistent" not in lefty.lvs_cf.read_text(), LIMIT_S, one_file.words)
    until(lambda: rules("righty") == table, LIMIT_S, one_file.words)
    until(lefty.answers, LIMIT_S, one_file.words)
    one_file.in_step()
    guard = lefty.state().guard
    assert guard is not None
    assert (guard.state, guard.reason) == ("went back", "nobody confirmed it within 3 s")
    assert (lefty.lvs_cf.read_text(), rules("lefty")) == (later(before, 2), table)
    assert lefty.state().role.since == since
    assert righty.client.history(limit=1).revisions[0].origin == "guard"
