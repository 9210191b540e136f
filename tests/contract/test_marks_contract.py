"""The port ``MarkRules``: the fake, nftables and iptables alike; what is not ours stays as it is.

nftables is this host's kernel, in a network namespace of its own; iptables that of the guest, which has no nftables.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.lvscf.model import Protocol
from lvsagent.adapters.mark_rules import IptablesMarks, KernelMarks, NftMarks
from lvsagent.core.marks import MarkRule
from lvsagent.ports import AdapterError, MarkRules
from tests.fakes.marks import FakeMarks
from tests.kernel import net

WEB = MarkRule("192.0.2.100", Protocol.TCP, 80, 80, 7)
FTP = MarkRule("192.0.2.100", Protocol.TCP, 1024, 65535, 2**32 - 1)
NAMES = MarkRule("192.0.2.101", Protocol.UDP, 53, 53, 7)
CALLS = MarkRule("192.0.2.101", Protocol.SCTP, 5060, 5061, 9)
SIX = MarkRule("2001:db8:1::100", Protocol.TCP, 443, 443, 8)
IPV4 = (WEB, FTP, NAMES, CALLS)


def lacks_nft() -> str:
    """Why nftables cannot be tried here."""
    if os.geteuid() != 0 or shutil.which("nft") is None or shutil.which("unshare") is None:
        return "nftables needs root and nft"
    done = subprocess.run(["unshare", "--net", "nft", "list", "tables"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this host's kernel has no nftables"


@pytest.fixture(params=["fake", pytest.param("nft", marks=pytest.mark.skipif(bool(lacks_nft()), reason=lacks_nft() or "-")),
                        pytest.param("iptables", marks=pytest.mark.kernel)])  # fmt: skip
def marks(request: pytest.FixtureRequest) -> Iterator[MarkRules]:
    with ExitStack() as stack:
        if request.param == "fake":
            yield FakeMarks()
        else:
            stack.enter_context(net.fresh_namespace())
            yield NftMarks() if request.param == "nft" else IptablesMarks("-legacy")


async def test_there_are_none_to_begin_with(marks: MarkRules) -> None:
    assert await marks.read() == frozenset()


async def test_what_is_set_is_there_and_only_that(marks: MarkRules) -> None:
    await marks.replace(IPV4)
    assert await marks.read() == frozenset(IPV4)
    await marks.replace([SIX, NAMES])
    assert await marks.read() == frozenset({SIX, NAMES})
    await marks.replace([SIX, NAMES])
    assert await marks.read() == frozenset({SIX, NAMES})


async def test_none_takes_all_away_as_often_as_it_is_asked(marks: MarkRules) -> None:
    await marks.replace([])
    await marks.replace([WEB, SIX])
    await marks.replace([])
    await marks.replace([])
    assert await marks.read() == frozenset()


# --- what is somebody else's ---------------------------------------------------------------------------------------------------

THEIRS = ["-A PREROUTING -p tcp -m tcp --dport 25 -j MARK --set-xmark 0x19/0xffffffff"]


def iptables_rules() -> list[str]:
    """What is set in the mangle table, as iptables itself says it."""
    return [line for line in net.output("iptables-legacy-save", "-t", "mangle").splitlines() if line.startswith("-A")]


@pytest.mark.kernel
async def test_iptables_keeps_what_others_have_set() -> None:
    with net.fresh_namespace():
        net.output("iptables-legacy", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "25", "-j", "MARK", "--set-mark", "25")
        marks = IptablesMarks("-legacy")
        await marks.replace([WEB])
        await marks.replace([WEB, FTP])
        assert iptables_rules() == [
            *THEIRS,
            "-A PREROUTING -j PIRANHA-MARKS",
            "-A PIRANHA-MARKS -d 192.0.2.100/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff",
            "-A PIRANHA-MARKS -d 192.0.2.100/32 -p tcp -m tcp --dport 1024:65535 -j MARK --set-xmark 0xffffffff/0xffffffff",
        ]
        await marks.replace([])
        assert iptables_rules() == THEIRS


@pytest.mark.kernel
async def test_rules_that_somebody_has_changed_are_seen_and_put_right() -> None:
    with net.fresh_namespace():
        marks = IptablesMarks("-legacy")
        await marks.replace([WEB])
        net.output("iptables-legacy", "-t", "mangle", "-D", "PREROUTING", "-j", "PIRANHA-MARKS")
        assert await marks.read() is None
        await marks.replace([WEB])
        net.output("iptables-legacy", "-t", "mangle", "-A", "PIRANHA-MARKS", "-j", "ACCEPT")
        assert await marks.read() is None
        await marks.replace([WEB])
        assert await marks.read() == frozenset({WEB})


@pytest.mark.kernel
async def test_a_kernel_without_nftables_is_served_by_iptables() -> None:
    with net.fresh_namespace():
        marks = KernelMarks()
        await marks.replace([WEB])
        assert await marks.read() == frozenset({WEB})
        assert await IptablesMarks("-legacy").read() == frozenset({WEB})


@pytest.mark.skipif(bool(lacks_nft()), reason=lacks_nft() or "-")
async def test_nftables_keeps_what_others_have_set_and_sees_what_they_change() -> None:
    with net.fresh_namespace():
        net.output("nft", "add table inet theirs")
        marks = KernelMarks()
        await marks.replace([WEB, SIX])
        assert await NftMarks().read() == frozenset({WEB, SIX})
        net.output("nft", "add rule inet piranha_marks prerouting accept")
        assert await marks.read() is None
        await marks.replace([])
        assert net.output("nft", "list tables") == "table inet theirs\n"


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(AdapterError, match="iptables-nowhere-save: could not be started"):
        await IptablesMarks("-nowhere").read()
