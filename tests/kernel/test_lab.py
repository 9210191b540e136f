"""The lab itself: what a test inside it may count on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel


def test_the_guest_has_a_real_ipvs() -> None:
    assert Path("/proc/net/ip_vs").read_text().startswith("IP Virtual Server version")
    listing = subprocess.run(["ipvsadm", "-L", "-n"], check=True, capture_output=True, text=True).stdout
    assert "Prot LocalAddress:Port" in listing
