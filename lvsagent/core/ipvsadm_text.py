"""The table as ipvsadm prints it: ``-L -n`` to read and copy, ``-S -n`` to feed back to ``ipvsadm -R``.

Owns the format, held to the real program's output in the kernel tests.  It reads nothing itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.table import NO_COUNTERS, Entry, Family, Server, ServerKey, Service, ServiceKey, Table

FORWARDING_NAMES = {Forwarding.NAT: "Masq", Forwarding.DIRECT: "Route", Forwarding.TUNNEL: "Tunnel"}
FORWARDING_SWITCHES = {Forwarding.NAT: "-m", Forwarding.DIRECT: "-g", Forwarding.TUNNEL: "-i"}
PROTOCOL_SWITCHES = {Protocol.TCP: "-t", Protocol.UDP: "-u", Protocol.SCTP: "--sctp-service"}
PROTOCOL_NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
FLAG_NAMES = {
    "sh": {"flag-1": "sh-fallback", "flag-2": "sh-port"},
    "mh": {"flag-1": "mh-fallback", "flag-2": "mh-port"},
}
SERVICE_COLUMNS = 33
SERVER_COLUMNS = 28


def listing(table: Table, *, version: str, size: int) -> str:
    """What ``ipvsadm -L -n`` prints: addresses too long for their column are cut, as there."""
    lines = [
        f"IP Virtual Server version {version} (size={size})",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
    ]
    for key, entry in sorted_services(table):
        lines.append(f"{_listed_name(key)} {entry.service.scheduler}{_listed_settings(key, entry.service)}")
        lines.extend(_listed_server(server_key, server, entry) for server_key, server in sorted_servers(entry))
    return "\n".join(lines) + "\n"


def rules(table: Table) -> str:
    """What ``ipvsadm -S -n`` prints."""
    lines = []
    for key, entry in sorted_services(table):
        lines.append(f"-A {_switch(key)} -s {entry.service.scheduler}{_rule_settings(key, entry.service)}")
        lines.extend(_rule_server(key, server_key, server) for server_key, server in sorted_servers(entry))
    return "".join(f"{line}\n" for line in lines)


def sorted_services(table: Table) -> list[tuple[ServiceKey, Entry]]:
    """By firewall mark, family, protocol number, address, port."""
    return sorted(table.items(), key=lambda item: _service_order(item[0]))


def sorted_servers(entry: Entry) -> list[tuple[ServerKey, Server]]:
    """By address, then port."""
    return sorted(entry.servers.items(), key=lambda item: (_address_order(item[0].address), item[0].port))


def _service_order(key: ServiceKey) -> tuple[int, bool, int, int, int]:
    number = PROTOCOL_NUMBERS[key.protocol] if key.protocol else 0
    address = _address_order(key.address)[1] if key.address else 0
    return key.fwmark, key.family is Family.IPV6, number, address, key.port


@lru_cache(maxsize=1 << 16)
def _address_order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _listed_name(key: ServiceKey) -> str:
    if key.fwmark:
        return f"FWM  {key.fwmark}" + (" IPv6" if key.family is Family.IPV6 else "")
    protocol = key.protocol.upper() if key.protocol else ""
    return f"{protocol:<4} {_host_port(key.address, key.port)}"[:SERVICE_COLUMNS]


def _listed_settings(key: ServiceKey, service: Service) -> str:
    words = []
    if service.scheduler_flags:
        words.append(f"({_flags(service)})")
    if service.persistence_timeout_s:
        words.append(f"persistent {service.persistence_timeout_s}")
        if mask := _mask(key, service):
            words.append(f"mask {mask}")
        if service.persistence_engine:
            words.append(f"pe {service.persistence_engine}")
    if service.one_packet:
        words.append("ops")
    return "".join(f" {word}" for word in words)


def _listed_server(key: ServerKey, server: Server, entry: Entry) -> str:
    counters = entry.server_counters.get(key, NO_COUNTERS)
    name = _host_port(key.address, key.port)[:SERVER_COLUMNS]
    forwarding = FORWARDING_NAMES[server.forwarding]
    return f"  -> {name:<28} {forwarding:<7} {server.weight:<6} {counters.active:<10} {counters.inactive:<10}"


def _switch(key: ServiceKey) -> str:
    if key.fwmark:
        return f"-f {key.fwmark}" + (" -6" if key.family is Family.IPV6 else "")
    switch = PROTOCOL_SWITCHES[key.protocol] if key.protocol else ""
    return f"{switch} {_host_port(key.address, key.port)}"


def _rule_settings(key: ServiceKey, service: Service) -> str:
    words = []
    if service.persistence_timeout_s:
        words.append(f"-p {service.persistence_timeout_s}")
        if mask := _mask(key, service):
            words.append(f"-M {mask}")
        if service.persistence_engine:
            words.append(f"--pe {service.persistence_engine}")
    if service.one_packet:
        words.append("-o")
    if service.scheduler_flags:
        words.append(f"-b {_flags(service)}")
    return "".join(f" {word}" for word in words)


def _rule_server(service: ServiceKey, key: ServerKey, server: Server) -> str:
    tunnel = " --tun-type ipip" if server.forwarding is Forwarding.TUNNEL else ""
    switch = FORWARDING_SWITCHES[server.forwarding]
    return f"-a {_switch(service)} -r {_host_port(key.address, key.port)} {switch} -w {server.weight}{tunnel}"


def _mask(key: ServiceKey, service: Service) -> str:
    """The persistence netmask as ipvsadm writes it; nothing when each client stands for itself."""
    length = service.persistence_prefix
    if key.family is Family.IPV6:
        return "" if length == 128 else str(length)
    return "" if length == 32 else str(ipaddress.IPv4Network((0, length)).netmask)


def _flags(service: Service) -> str:
    return ",".join(_flag_names(service))


def _flag_names(service: Service) -> Iterator[str]:
    names = FLAG_NAMES.get(service.scheduler, {})
    return (names.get(flag, flag) for flag in sorted(service.scheduler_flags))
