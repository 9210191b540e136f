"""The one reader of time, on a host that was suspended: a time namespace in which the clocks are as they are after a suspension."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SUSPENDED_S = 100_000
READ = "from lvsagent.adapters.clock import SystemClock; import time; print(SystemClock().now() - time.monotonic())"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root makes a time namespace")
def test_the_time_in_which_the_host_was_suspended_has_passed() -> None:
    argv = ["unshare", "--time", "--boottime", str(SUSPENDED_S), sys.executable, "-c", READ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    assert float(done.stdout) >= SUSPENDED_S - 1
