"""Firewall marks by the kernel's packet filter: nftables where there is one, else iptables.  The port ``MarkRules``.

Owns one table (nftables) or one chain and the jump to it (iptables), and nothing else there.  Programs are run as argv, without a shell;
every change is one transaction of theirs, so that no packet sees half of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.lvscf.model import Protocol
from lvsagent.adapters.commands import CommandResult, run_command
from lvsagent.core.marks import MarkRule
from lvsagent.ports import AdapterError

LIMIT_S = 10.0
LIMIT_BYTES = 1 << 20
NFT_TABLE = "inet piranha_marks"
CHAIN = "PIRANHA-MARKS"
WAYS = ("nft", "iptables", "iptables-legacy")
AUTO = "auto"


class NftMarks:
    """A table of our own in nftables."""

    async def read(self) -> frozenset[MarkRule] | None:
        listed = await _run(["nft", "--json", "list", "tables"])
        names = {f"{one['table']['family']} {one['table']['name']}" for one in _items(listed.output) if "table" in one}
        if NFT_TABLE not in names:
            return frozenset()
        shown = await _run(["nft", "--json", "list", "table", *NFT_TABLE.split()])
        found = [_from_nft(one["rule"]) for one in _items(shown.output) if "rule" in one]
        chains = [one["chain"].get("hook") for one in _items(shown.output) if "chain" in one]
        whole = [rule for rule in found if rule is not None]
        return frozenset(whole) if len(whole) == len(found) and chains == ["prerouting"] else None

    async def replace(self, rules: Sequence[MarkRule]) -> None:
        await _run(["nft", "--file", "-"], nft_text(rules))


class IptablesMarks:
    """A chain of our own in the mangle tables of iptables and ip6tables; ``suffix`` is ``-legacy`` for the old kernel interface."""

    def __init__(self, suffix: str = "") -> None:
        self._suffix = suffix
        self._six = False

    async def read(self) -> frozenset[MarkRule] | None:
        found = read_iptables(await self._save(ipv6=False))
        try:
            more = read_iptables(await self._save(ipv6=True))
        except AdapterError:
            if self._six:
                raise
            return found  # a host without IPv6
        self._six = self._six or more != frozenset()
        return None if found is None or more is None else found | more

    async def replace(self, rules: Sequence[MarkRule]) -> None:
        """IPv6 is left alone until there is a rule for it: its table need not exist."""
        self._six = self._six or any(rule.ipv6 for rule in rules)
        for ipv6 in (False, True) if self._six else (False,):
            there = await self._save(ipv6=ipv6)
            text = iptables_text([rule for rule in rules if rule.ipv6 is ipv6], there)
            if text:
                await _run([self._program("restore", ipv6=ipv6), "--noflush", "--wait", "5"], text)

    async def _save(self, *, ipv6: bool) -> str:
        return (await _run([self._program("save", ipv6=ipv6), "--table", "mangle"])).output

    def _program(self, what: str, *, ipv6: bool) -> str:
        return f"{'ip6tables' if ipv6 else 'iptables'}{self._suffix}-{what}"


class KernelMarks:
    """Whichever of the ways works here; ``way`` is one of ``WAYS``, or ``auto`` for the first that does.

    A kernel may list tables that it cannot fill, so that only a change shows what works; rules of ours that are found say it too.
    """

    def __init__(self, way: str = AUTO) -> None:
        self._ways = [_adapter(each) for each in (WAYS if way == AUTO else (way,))]
        self._chosen: NftMarks | IptablesMarks | None = None

    async def read(self) -> frozenset[MarkRule] | None:
        if self._chosen is not None:
            return await self._chosen.read()
        reasons = []
        for adapter in self._ways:
            try:
                found = await adapter.read()
            except AdapterError as error:
                reasons.append(str(error))
                continue
            if found != frozenset():
                self._chosen = adapter
                return found
        if len(reasons) == len(self._ways):
            raise AdapterError("; ".join(reasons))
        return frozenset()

    async def replace(self, rules: Sequence[MarkRule]) -> None:
        if self._chosen is not None:
            await self._chosen.replace(rules)
            return
        reasons = []
        for adapter in self._ways if rules else ():
            try:
                await adapter.replace(rules)
            except AdapterError as error:
                reasons.append(str(error))
            else:
                self._chosen = adapter
                return
        if reasons:
            raise AdapterError("; ".join(reasons))


def _adapter(way: str) -> NftMarks | IptablesMarks:
    return NftMarks() if way == "nft" else IptablesMarks(way.removeprefix("iptables"))


# --- nftables ------------------------------------------------------------------------------------------------------------------


def nft_text(rules: Iterable[MarkRule]) -> str:
    """What ``nft -f -`` is to do.  Naming the table first makes its deletion right whether it was there or not."""
    lines = [f"table {NFT_TABLE}", f"delete table {NFT_TABLE}"]
    body = [f"    {_nft_rule(rule)}" for rule in rules]
    if body:
        lines += [f"table {NFT_TABLE} {{", "  chain prerouting {", "    type filter hook prerouting priority mangle; policy accept;"]
        lines += [*body, "  }", "}"]
    return "\n".join([*lines, ""])


def _nft_rule(rule: MarkRule) -> str:
    ports = f"{rule.first}" if rule.first == rule.last else f"{rule.first}-{rule.last}"
    return f"{'ip6' if rule.ipv6 else 'ip'} daddr {rule.address} {rule.protocol} dport {ports} meta mark set {rule.mark}"


def _items(text: str) -> list[Mapping[str, Any]]:
    try:
        items: list[Mapping[str, Any]] = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterError("nft does not answer in JSON: firewall marks cannot be set with it") from error
    return items


def _from_nft(rule: Mapping[str, Any]) -> MarkRule | None:
    """A rule of the listing, ``None`` for one that we would not have written."""
    match rule.get("expr"):
        case [
            {"match": {"op": "==", "left": {"payload": {"field": "daddr"}}, "right": str(address)}},
            {"match": {"op": "==", "left": {"payload": {"protocol": str(protocol), "field": "dport"}}, "right": ports}},
            {"mangle": {"key": {"meta": {"key": "mark"}}, "value": int(mark)}},
        ] if protocol in set(Protocol):
            match ports:
                case int(first):
                    return MarkRule(address, Protocol(protocol), first, first, mark)
                case {"range": [int(first), int(last)]}:
                    return MarkRule(address, Protocol(protocol), first, last, mark)
    return None


# --- iptables ------------------------------------------------------------------------------------------------------------------

_JUMP = f"-A PREROUTING -j {CHAIN}"
_RULE = re.compile(
    rf"-A {CHAIN} -d (?P<address>[0-9a-f.:]+)/(?:32|128) -p (?P<protocol>[a-z]+)(?: -m [a-z]+)? --dport (?P<first>\d+)(?::(?P<last>\d+))?"
    r" -j MARK --set-x?mark (?P<mark>0x[0-9a-f]+)(?:/0xffffffff)?",
    re.ASCII,
)


def iptables_text(rules: Sequence[MarkRule], there: str) -> str:
    """What ``iptables-restore --noflush`` is to do, where ``there`` is what ``iptables-save`` says (``""``: nothing is to be done).

    Naming a chain empties it, so that the rules given are all that it has afterwards.
    """
    jumps = there.splitlines().count(_JUMP)
    known = any(line.startswith(f":{CHAIN} ") for line in there.splitlines())
    if not rules and not known:
        return ""
    lines = ["*mangle", f":{CHAIN} - [0:0]", *(_iptables_rule(rule) for rule in rules)]
    if rules:
        lines += [] if jumps else [_JUMP]
    else:
        lines += [*[_JUMP.replace("-A", "-D", 1)] * jumps, f"-X {CHAIN}"]
    return "\n".join([*lines, "COMMIT", ""])


def _iptables_rule(rule: MarkRule) -> str:
    ports = f"{rule.first}" if rule.first == rule.last else f"{rule.first}:{rule.last}"
    address = f"{rule.address}/{128 if rule.ipv6 else 32}"
    return f"-A {CHAIN} -d {address} -p {rule.protocol} --dport {ports} -j MARK --set-mark {rule.mark:#x}"


def read_iptables(text: str) -> frozenset[MarkRule] | None:
    """Our rules in what ``iptables-save`` says; ``None`` when they are not as we would have written them, or nothing leads to them."""
    ours = [line for line in text.splitlines() if line.startswith(f"-A {CHAIN} ")]
    found = [matched for line in ours if (matched := _RULE.fullmatch(line))]
    if len(found) != len(ours) or (ours and _JUMP not in text.splitlines()):
        return None
    return frozenset(
        MarkRule(one["address"], Protocol(one["protocol"]), int(one["first"]), int(one["last"] or one["first"]), int(one["mark"], 16))
        for one in found
    )


async def _run(argv: Sequence[str], said: str = "") -> CommandResult:
    result = await run_command(argv, LIMIT_S, said=said, limit_bytes=LIMIT_BYTES)
    if not result.ok:
        first = result.output.splitlines()[0] if result.output else ""
        if "Permission denied" in first and argv[0].startswith("ip"):
            first += ' (name mark_rules = "iptables-legacy" in agent.toml, then lvsd keeps the privilege that it needs, CAP_NET_RAW)'
        raise AdapterError(f"{argv[0]}: {result.words}" + (f": {first}" if first else ""))
    return result
