"""What to run on a real server, as root on Linux: commands to paste, and commands that keep it so after the next start.

Pure.  Every word in them is an address or a number that was parsed as one, so that nothing in lvs.cf can become part of a shell's line.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Protocol as Shape

from app.lvscf.model import Forwarding, Protocol

_QUIET = ("net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
_LENIENT = ("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.tunl0.rp_filter=0")
_TCP_HEADERS = {4: 40, 6: 60}
_QUIET_FILE, _LENIENT_FILE = "/etc/sysctl.d/90-lvs-arp.conf", "/etc/sysctl.d/90-lvs-tunnel.conf"
_MODULES = "/etc/modules-load.d"
_UNITS = "/etc/systemd/system"


class Case(Shape):
    """What the commands need to know of a real server."""

    @property
    def vip(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def protocol(self) -> Protocol: ...

    @property
    def forwarding(self) -> Forwarding: ...

    @property
    def gateway(self) -> str: ...


def carrying(case: Case) -> tuple[str, ...]:
    """Have the virtual address, in an order in which it is never announced."""
    quiet = tuple(f"sysctl -w {one}" for one in _QUIET)
    tunnel = case.forwarding is Forwarding.TUNNEL
    if _version(case.vip) == 6:
        return (f"ip -6 {_hold(case.vip)}", *(("modprobe ip6_tunnel", "ip link set ip6tnl0 up") if tunnel else ()))
    opened = ("modprobe ipip", "ip link set tunl0 up", *(f"sysctl -w {one}" for one in _LENIENT))
    return (*quiet, f"ip {_hold(case.vip)}", *(opened if tunnel else ()))


def kept(case: Case) -> tuple[str, ...]:
    """The same at every start, by systemd."""
    six, tunnel = _version(case.vip) == 6, case.forwarding is Forwarding.TUNNEL
    module = "ip6_tunnel" if six else "ipip"
    commands = [f"ip {'-6 ' if six else ''}{_hold(case.vip)}"]
    if tunnel:
        commands.append(f"ip link set {'ip6tnl0' if six else 'tunl0'} up")
    return (
        *((_written(f"{_MODULES}/lvs-{module}.conf", module),) if tunnel else ()),
        *(() if six else (_written(_QUIET_FILE, *_QUIET),)),
        *((_written(_LENIENT_FILE, *_LENIENT),) if tunnel and not six else ()),
        *_at_every_start(f"lvs-vip-{ip_address(case.vip)}".replace(":", "-"), commands),
    )


def silence(case: Case) -> tuple[str, ...]:
    """Have it, and tell nobody."""
    vip = str(ip_address(case.vip))
    if _version(vip) == 6:
        return (f"ip -6 address flush to {vip}/128", f"ip -6 {_hold(vip)}")
    return (*(f"sysctl -w {one}" for one in _QUIET), f"ip -4 address show to {vip}")


def silence_kept(case: Case) -> tuple[str, ...]:
    """The same at every start."""
    return () if _version(case.vip) == 6 else (_written(_QUIET_FILE, *_QUIET),)


def firewall(case: Case) -> tuple[str, ...]:
    """What its packet filter says, whichever it has."""
    return ("nft list ruleset", f"{_tables(case.vip)} -S")


def translations(case: Case) -> tuple[str, ...]:
    """What its NAT rules say."""
    return ("nft list ruleset", f"{_tables(case.vip)} -t nat -S")


def listeners(case: Case) -> tuple[str, ...]:
    """Who listens on the port, and on which addresses."""
    kind = "u" if case.protocol is Protocol.UDP else "t"
    return (f"ss -l{kind}np 'sport = :{int(case.port)}'",)


def larger_mtu(director: str, mtu: int) -> tuple[str, ...]:
    """Look at the interface that leads to the director, and give it the director's MTU."""
    there = f"ip -o route get {ip_address(director)}"
    return (there, f"ip link set dev \"$({there} | grep -o ' dev [^ ]*' | cut -d ' ' -f 3)\" mtu {int(mtu)}")


def smaller_segments(case: Case, room: int) -> tuple[str, ...]:
    """Have clients send TCP segments that fit into the tunnel."""
    version = _version(case.vip)
    if case.protocol is not Protocol.TCP:
        return ()
    rule = f"-A OUTPUT -s {ip_address(case.vip)} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {int(room) - _TCP_HEADERS[version]}"
    return (f"{_tables(case.vip)} -t mangle {rule}",)


def way_back(case: Case, director: str) -> tuple[str, ...]:
    """Answer by way of the director."""
    gateway = case.gateway or director
    return (_default_route(gateway),) if gateway else ()


def way_back_kept(case: Case, director: str) -> tuple[str, ...]:
    """The same at every start."""
    gateway = case.gateway or director
    return _at_every_start("lvs-way-back", [_default_route(gateway)], after="network-online.target") if gateway else ()


def _default_route(gateway: str) -> str:
    return f"ip {'-6 ' if _version(gateway) == 6 else ''}route replace default via {ip_address(gateway)}"


def _hold(vip: str) -> str:
    """An IPv6 address is deprecated from the start, so that the server never speaks to others by it."""
    return f"address replace {ip_address(vip)}/{'128 dev lo preferred_lft 0' if _version(vip) == 6 else '32 dev lo'}"


def _tables(address: str) -> str:
    return "ip6tables" if _version(address) == 6 else "iptables"


def _version(address: str) -> int:
    return ip_address(address).version


def _written(path: str, *lines: str) -> str:
    quoted = " ".join(f"'{line}'" for line in lines)
    return f"printf '%s\\n' {quoted} >{path}"


def _at_every_start(name: str, commands: list[str], after: str = "network-pre.target") -> tuple[str, ...]:
    unit = (
        "[Unit]",
        f"After={after}",
        *(() if after == "network-pre.target" else (f"Wants={after}",)),
        "[Service]",
        "Type=oneshot",
        *(f"ExecStart=/sbin/{command}" for command in commands),
        "[Install]",
        "WantedBy=multi-user.target",
    )
    return (_written(f"{_UNITS}/{name}.service", *unit), f"systemctl enable {name}.service")
