"""Kernel settings under /proc/sys that forwarding depends on.  Reads only."""

from __future__ import annotations

from pathlib import Path

FORWARDING = {"ipv4": "net.ipv4.ip_forward", "ipv6": "net.ipv6.conf.all.forwarding"}


def forwarding_problem(family: str) -> str:
    """Why this host does not forward packets of ``family`` (``ipv4``, ``ipv6``), in words; empty when it does."""
    name = FORWARDING[family]
    try:
        value = Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError as error:
        return f"{name} cannot be read ({error.strerror}), so it is not known whether NAT can work"
    return "" if value == "1" else f"{name} is {value}: NAT cannot work until it is 1 (sysctl -w {name}=1)"
