"""What a forwarding method asks of the real servers, with the very commands to type there.

Pure: from a configuration to words and command lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.lvscf.model import NO_ADDRESS, Config, Forwarding, VirtualServer

SHOWN = 24
"""How many virtual addresses get a command line of their own on the page."""


@dataclass(frozen=True, slots=True)
class Advice:
    """``words`` say what is needed and why, ``commands`` are for each real server; ``hidden`` virtual addresses are not listed."""

    title: str
    words: str
    commands: tuple[str, ...] = ()
    hidden: int = 0


def addresses(servers: Iterable[VirtualServer]) -> list[str]:
    """Their virtual addresses, each once, in the file's order."""
    found = {one.address.host: None for one in servers if one.address and one.address.host not in ("", NO_ADDRESS)}
    return list(found)


def real_server_advice(config: Config, servers: Iterable[VirtualServer] | None = None) -> Advice:
    """What the real servers of ``servers`` (all, when not given) need under the network type in use, or their own if all have another."""
    chosen = tuple(config.virtual if servers is None else servers)
    network = config.globals.network
    methods = {real.forward or network for virtual in chosen for real in virtual.servers} or {network}
    method = network if network in methods else min(methods)
    advice = _under(method, config, addresses(chosen))
    more = "" if methods == {method} else f" {_OTHERS}"
    return replace(advice, words=f"{advice.words}{more} {_DOCTOR}")


def _under(method: Forwarding, config: Config, found: list[str]) -> Advice:
    shown, hidden = found[:SHOWN], max(0, len(found) - SHOWN)
    if method is Forwarding.DIRECT:
        return Advice("Direct Routing: what each real server needs", _DIRECT, _direct(shown), hidden)
    if method is Forwarding.TUNNEL:
        return Advice("Tunneling: what each real server needs", _TUNNEL, _tunnel(shown), hidden)
    return _nat(config)


_OTHERS = "Some have a forwarding of their own, which needs something else."
_DOCTOR = "DOCTOR, beside a virtual server's REAL SERVER, looks whether it is so, server by server, and says what to run there."
_DIRECT = (
    "Every real server holds the virtual address on its loopback, so that it takes the packets, and keeps silent about it, so that only "
    "the director answers for it on the network. It must listen on the virtual server's own port."
)
_TUNNEL = (
    "Every real server holds the virtual address on its tunnel interface, takes packets that arrive there although their source lies "
    "elsewhere, and keeps silent about the address. It must listen on the virtual server's own port."
)
_SILENT = ("sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2")


def _direct(found: list[str]) -> tuple[str, ...]:
    commands = [_add(one, "lo") for one in found] or [_add("VIP", "lo")]
    return (*(() if found and all(":" in one for one in found) else _SILENT), *commands)


def _tunnel(found: list[str]) -> tuple[str, ...]:
    six = [one for one in found if ":" in one]
    four = [one for one in found if ":" not in one] or ([] if six else ["VIP"])
    commands: list[str] = []
    if four:
        commands += ["modprobe ipip", "ip link set tunl0 up"]
        commands += ["sysctl -w net.ipv4.conf.all.rp_filter=0", "sysctl -w net.ipv4.conf.tunl0.rp_filter=0", *_SILENT]
        commands += [_add(one, "tunl0") for one in four]
    if six:
        commands += ["modprobe ip6_tunnel", "ip link set ip6tnl0 up", *(_add(one, "ip6tnl0") for one in six)]
    return tuple(commands)


def _add(address: str, interface: str) -> str:
    if ":" in address:
        return f"ip -6 address add {address}/128 dev {interface} nodad preferred_lft 0"
    return f"ip address add {address}/32 dev {interface}"


def _nat(config: Config) -> Advice:
    router = config.globals.nat_router
    gateway = router.host if router and router.host != NO_ADDRESS else ""
    words = "Answers must come back through the director, so it is the real servers' default gateway."
    if not gateway:
        words += " Give the NAT router an address in GLOBAL SETTINGS: it moves with the active role, the director's own does not."
    command = f"ip {'-6 ' if ':' in gateway else ''}route replace default via {gateway or 'NAT-ROUTER-IP'}"
    return Advice("NAT: what each real server needs", words, (command,))
