"""Which keywords each kind of check needs and uses, and what is to be said of a block where they do not fit.

Pure; ``validate`` puts the findings at their lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.lvscf.keywords import BY_LEVEL, LOAD_MONITORS, Level
from app.lvscf.model import Block, CheckKind, VirtualServer

_HTTP = frozenset({CheckKind.HTTP, CheckKind.HTTPS})
_TLS = frozenset({CheckKind.HTTPS, CheckKind.TLS})
_SPEAKS = frozenset({CheckKind.AUTO, CheckKind.TLS, CheckKind.UDP})

USED_BY: dict[str, frozenset[CheckKind]] = {
    "send": _SPEAKS | {CheckKind.AGENT},
    "expect": _SPEAKS | _HTTP | {CheckKind.DNS, CheckKind.PROGRAM},
    "send_program": frozenset({CheckKind.AUTO, CheckKind.PROGRAM}),
    "check_path": _HTTP,
    "check_status": _HTTP,
    "check_host": _HTTP | _TLS | {CheckKind.SMTP, CheckKind.DNS},
    "check_record": frozenset({CheckKind.DNS}),
    "check_verify": _TLS,
    "check_cert_days": _TLS,
}
"""keyword → the kinds of check that use it; those not here are used by all."""

NEEDS = {CheckKind.DNS: "check_host", CheckKind.UDP: "expect", CheckKind.PROGRAM: "send_program"}
"""kind of check → the keyword without which it cannot ask anything."""


MONITORS = frozenset(LOAD_MONITORS) - {"none"}
"""The words of load_monitor that ask for something."""


class Finding(NamedTuple):
    """``keyword`` is the one whose line it is about."""

    code: str
    keyword: str
    message: str


def check_findings(block: Block) -> Iterator[Finding]:
    """What is to be said of the check that ``block`` asks for."""
    kind = block.check
    needed = NEEDS.get(kind)
    if needed is not None and not getattr(block, needed):
        yield Finding("check-incomplete", "check", f"check = {kind} needs {needed}, and there is none")
    for name, kinds in USED_BY.items():
        if kind not in kinds and getattr(block, name) != BY_LEVEL[Level.BLOCK][name].default:
            users = ", ".join(sorted(each.value for each in kinds))
            yield Finding("check-keyword-unused", name, f"check = {kind} does not use {name}, which is for {users}")
    parted, what = _parted(block)
    if parted and isinstance(block, VirtualServer) and block.servers and all(server.weight == 1 for server in block.servers):
        text = f"{what} gives a server a part of its weight, and 1 has no parts: give the real servers a weight such as 100"
        yield Finding("weight-without-parts", parted, text)
    if kind in _HTTP and (block.expect or "").startswith("HTTP"):
        text = (
            f"with check = {kind}, expect is about the body of the answer, which hardly begins with HTTP; check_status is about its status"
        )
        yield Finding("expect-is-the-body", "expect", text)


def _parted(block: Block) -> tuple[str, str]:
    """The keyword, and its words, that gives servers a part of their weight (``""``: none does)."""
    if block.slow_start:
        return "slow_start", "slow_start"
    if block.check is CheckKind.AGENT:
        return "check", "check = agent"
    if block.load_monitor in MONITORS:
        return "load_monitor", f"load_monitor = {block.load_monitor}"
    return "", ""
