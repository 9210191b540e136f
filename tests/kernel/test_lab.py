"""The lab itself: what a test inside it may count on, and what the host says when a guest fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import net, uml
from tests.outcomes import OUTCOMES

MISBEHAVING = f"""
import ctypes
{OUTCOMES}
pytestmark = pytest.mark.kernel

def test_brings_the_guest_down():
    ctypes.CDLL(None).reboot(0x4321FEDC)

def test_comes_too_late():
    pass
"""


@pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "-")
def test_every_outcome_in_the_guest_is_the_hosts_own(request: pytest.FixtureRequest) -> None:
    folder = Path(__file__).with_name(f"self_check_{id(request)}")
    folder.mkdir()
    try:
        (folder / "test_misbehaving.py").write_text(MISBEHAVING)
        command = [sys.executable, "-m", "pytest", str(folder / "test_misbehaving.py"), "-p", "no:cacheprovider", "--color=no", "-v"]
        done = subprocess.run(command, cwd=uml.ROOT, capture_output=True, text=True, check=False)
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
    shown = done.stdout
    assert done.returncode == 1, shown
    for name, outcome in (("passes", "PASSED"), ("fails", "FAILED"), ("errs", "ERROR"), ("skips", "SKIPPED"), ("comes_too_late", "FAILED")):
        assert f"test_{name} {outcome}" in shown, shown
    assert "test_brings_the_guest_down FAILED" in shown, shown
    assert "what it printed" in shown
    assert "assert (1 + 1) == 3" in shown
    assert "a fixture that breaks" in shown
    assert "the guest has ended" in shown
    assert "--- guest console ---" in shown
    assert "not shown" not in shown.split("test_brings_the_guest_down")[0]


@pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "-")
def test_a_guest_that_takes_too_long_is_ended() -> None:
    with uml.Guest(limit_s=1) as guest:
        guest.start(run="this.module.is.missing")
        with pytest.raises(uml.GuestDied, match="longer than 1 s"):
            guest.wait()
        folder = guest.folder
    assert not folder.exists()


@pytest.mark.kernel
def test_the_guest_has_a_real_ipvs() -> None:
    assert Path("/proc/net/ip_vs").read_text().startswith("IP Virtual Server version")
    assert "Prot LocalAddress:Port" in net.output("ipvsadm", "-L", "-n")


@pytest.mark.kernel
def test_the_guest_cannot_change_the_hosts_state() -> None:
    """What is mounted over the host's tree is the guest's own."""
    mounts = {line.split()[1]: line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    assert {mounts[path] for path in ("/run", "/var/lib")} == {"tmpfs"}


@pytest.mark.kernel
def test_a_namespace_ends_with_its_test() -> None:
    with net.fresh_namespace():
        net.ip("link add d0 type dummy")
        assert "d0" in net.output("ip", "-br", "link")
    assert "d0" not in net.output("ip", "-br", "link")
