"""What the guest runs: pytest over the tests that the host listed, or the module that ``LAB_RUN`` names."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

MODULES = ("ip_vs", "veth", "bridge", "dummy", "ipip")


def main() -> int:
    """Load the modules and run; the exit status."""
    if os.environ.get("LAB_GROUP") != "bare":
        subprocess.run(["/run/modprobe", "-a", *MODULES], check=True)
    if module := os.environ.get("LAB_RUN"):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    import pytest  # noqa: PLC0415 -- a bench does without it

    tests = Path(os.environ["LAB_DIR"]) / "tests"
    return pytest.main(["-p", "no:cacheprovider", "--color=no", "--basetemp=/run/tmp/pytest", f"@{tests}"])


if __name__ == "__main__":
    sys.exit(main())
