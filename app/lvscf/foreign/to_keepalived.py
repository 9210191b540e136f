"""An lvs.cf as keepalived.conf for one of the two directors: global definitions, one VRRP instance with every address, virtual servers.

Owns that language in this direction, the checkers excepted (``to_keepalived_checks``).  Names travel as ``snmp_name``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

from app.lvscf.foreign.missing import Exportable, Missing, exportable, server_port
from app.lvscf.foreign.report import Exported
from app.lvscf.foreign.to_keepalived_checks import checker
from app.lvscf.foreign.values import length_of
from app.lvscf.literals import ip_of
from app.lvscf.model import NO_ADDRESS, Config, Forwarding, GlobalSettings, HostDevice, Protocol, RealServer, VirtualServer

Node = Literal["primary", "backup"]

INSTANCE = "piranha"
ROUTER_ID = 51
PRIORITIES = {"primary": 150, "backup": 100}
SHORTEST_S, LONGEST_S = 0.01, 40.95
"""What an advertisement of VRRP 3 can say of its interval."""
ADVERTS = 3
MOST_ADVERTS = 100
MOST_ADDRESSES = 20
"""So many fit into an advertisement; the others are brought up without being named in it."""
_KINDS = {Forwarding.NAT: "NAT", Forwarding.DIRECT: "DR", Forwarding.TUNNEL: "TUN"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:%@+,=-]+")

Lines = Iterator[str]


def export_keepalived(config: Config, node: Node = "primary") -> Exported:
    """keepalived.conf of the ``primary`` or the ``backup`` director.  What has no counterpart is in ``missing`` and in the comments."""
    missing = Missing()
    services = list(exportable(config, missing))
    for one in services:
        if not one.servers:
            missing.say(f"virtual {one.virtual.name}: it has no real server, and is ignored there")
    lines = [*_globals(config.globals, missing), *_instance(config, services, node, missing)]
    for one in (one for one in services if one.servers):
        lines += ["", *_service(one, config.globals, missing)]
    title = f"keepalived.conf of the {node} director, made from an lvs.cf."
    return Exported(missing.as_comments(title) + "\n".join(lines) + "\n", tuple(missing.entries))


def word(text: str) -> str:
    """A word of keepalived.conf, quoted where it must be; a double quote has no place inside."""
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', "'").replace("\n", " ") + '"'


# --- global definitions and the instance -----------------------------------------------------------------------------------------


def _globals(settings: GlobalSettings, missing: Missing) -> Lines:
    yield "global_defs {"
    yield "    vrrp_version 3"
    if settings.mass_failure_hold:
        missing.say("mass_failure_hold: servers that fail all at once leave all at once")
    timeouts = {"tcp": settings.tcp_timeout, "tcpfin": settings.tcpfin_timeout, "udp": settings.udp_timeout}
    if any(timeouts.values()):
        yield "    lvs_timeouts " + " ".join(f"{name} {value}" for name, value in timeouts.items() if value)
    if settings.syncdaemon and settings.backup_active:
        yield f"    lvs_sync_daemon {word(settings.syncd_iface)} {INSTANCE} id {settings.syncd_id}"
    elif settings.syncdaemon:
        missing.say("syncdaemon: it needs a second director")
    yield "}"


def _instance(config: Config, services: list[Exportable], node: Node, missing: Missing) -> Lines:
    settings = config.globals
    addresses = list(_addresses(settings, services, missing))
    if not addresses:
        if settings.backup_active:
            missing.say("the heartbeat and the role: there is no address that could move")
        return
    shared = [address for address in addresses if ":" not in address.split("/")[0]][:MOST_ADDRESSES]
    others = [address for address in addresses if address not in shared]
    devices = list(dict.fromkeys(address.split(" dev ")[1].split()[0] for address in addresses))
    unicast = _unicast(settings, node, addresses, missing) if settings.backup_active else []
    ipv6 = ":" in unicast[0] if unicast else ":" in addresses[0].split("/")[0]
    shared = [address for address in addresses if (":" in address.split("/")[0]) is ipv6][:MOST_ADDRESSES]
    others = [address for address in addresses if address not in shared]
    yield f"\nvrrp_instance {INSTANCE} {{"
    for line in (
        *_role(settings, node, devices, missing),
        *unicast,
        *_block("virtual_ipaddress", shared),
        *_block("virtual_ipaddress_excluded", others),
    ):
        yield f"    {line}"
    yield "}"


def _block(name: str, lines: list[str]) -> Lines:
    if lines:
        yield f"{name} {{"
        yield from (f"    {line}" for line in lines)
        yield "}"


def _role(settings: GlobalSettings, node: Node, devices: list[str], missing: Missing) -> Lines:
    """Everything of the instance but its addresses."""
    yield "state BACKUP"
    if not settings.preempt:
        yield "nopreempt"
    elif settings.preempt_delay:
        yield f"preempt_delay {settings.preempt_delay:g}"
    yield f"interface {word(devices[0])}"
    yield f"virtual_router_id {ROUTER_ID}"
    yield f"priority {PRIORITIES[node]}"
    yield from _times(settings, missing)
    if settings.virtual_mac:
        yield "use_vmac"
        yield "vmac_xmit_base"
    if settings.monitor_links:
        yield from _block("track_interface", [word(device) for device in devices[1:]])
    else:
        yield "dont_track_primary"
    for keyword, command in (("notify_master", settings.active_cmd), ("notify_backup", settings.inactive_cmd)):
        if command:
            yield f"{keyword} {word(command)}"


def _times(settings: GlobalSettings, missing: Missing) -> Lines:
    interval = min(max(settings.keepalive, SHORTEST_S), LONGEST_S)
    if interval != settings.keepalive:
        missing.say(f"keepalive = {settings.keepalive:g}: VRRP goes from {SHORTEST_S:g} to {LONGEST_S:g} seconds")
    yield f"advert_int {interval:g}"
    adverts = min(max(math.ceil(round(settings.deadtime / interval, 6)), 1), MOST_ADVERTS)
    if adverts != ADVERTS:
        yield f"down_timer_adverts {adverts}"
    if abs(adverts * interval - settings.deadtime) > SHORTEST_S:
        missing.say(f"deadtime = {settings.deadtime:g}: it is a whole number of advertisements there, {adverts * interval:g} seconds")


def _unicast(settings: GlobalSettings, node: Node, addresses: list[str], missing: Missing) -> list[str]:
    """Who speaks to whom.  VRRP speaks in the family of its virtual addresses; directors of another one speak by multicast."""
    missing.say("heartbeat_port and the key of `lvsctl pair`: advertisements are not signed")
    if settings.primary_private or settings.backup_private:
        missing.say("primary_private and backup_private: VRRP has one path for an instance")
    known = {"primary": ip_of(settings.primary), "backup": ip_of(settings.backup)}
    here, there = known[node], known["backup" if node == "primary" else "primary"]
    if not here or not there or NO_ADDRESS in {here, there}:
        missing.say("primary and backup: they are not both IP addresses, so advertisements go to the multicast address")
    elif not any((":" in here) is (":" in there) is (":" in address.split("/")[0]) for address in addresses):
        missing.say("primary and backup: no virtual address is of their family, so advertisements go to the multicast address")
    else:
        return [f"unicast_src_ip {here}", *_block("unicast_peer", [there])]
    return []


def _addresses(settings: GlobalSettings, services: list[Exportable], missing: Missing) -> Lines:
    """Every address that moves with the role, once."""
    wanted: dict[str, str] = {}
    for one in services:
        if one.virtual.address and one.host:
            wanted.setdefault(one.host, _put_up(one.host, one.virtual.address, one.virtual.vip_nmask))
    nat = settings.network is Forwarding.NAT
    if settings.nat_router and nat:
        host = ip_of(settings.nat_router.host)
        if host:
            wanted.setdefault(host, _put_up(host, settings.nat_router, settings.nat_nmask))
        else:
            missing.say(f"nat_router = {settings.nat_router}: a host name")
    yield from wanted.values()


def _put_up(host: str, place: HostDevice, mask: str) -> str:
    ipv6 = ":" in host
    length = length_of(mask, ipv6=ipv6) or (128 if ipv6 else 32)
    label = f" label {place.device}" if ":" in place.device and not ipv6 else ""
    return f"{host}/{length} dev {place.interface}{label}"


# --- a virtual server ------------------------------------------------------------------------------------------------------------


def _service(one: Exportable, settings: GlobalSettings, missing: Missing) -> Lines:
    virtual = one.virtual
    yield f"virtual_server {f'fwmark {virtual.fwmark}' if virtual.fwmark else f'{one.host} {virtual.port}'} {{"
    for line in (*_settings(one, settings.network), *_sorry(virtual, settings.network)):
        yield f"    {line}"
    for server in one.servers:
        yield ""
        yield from (f"    {line}" for line in _server(virtual, server, settings.network, missing))
    yield "}"
    _say_what_is_missing(one, missing)


def _say_what_is_missing(one: Exportable, missing: Missing) -> None:
    """Of the virtual server itself; its servers and checks say their own."""
    virtual = one.virtual
    weight = sum(max(server.weight, 0) for server in one.servers)
    if not weight:
        missing.say(f"virtual {virtual.name}: every weight is 0, which keepalived warns of")
    elif virtual.quorum and (virtual.quorum > weight or weight != len(one.servers)):
        missing.say(f"quorum of {virtual.name}: there it is a sum of weights, of which this virtual server has {weight}")
    if virtual.hysteresis > 0 and virtual.hysteresis >= _quorum(one):
        missing.say(f"hysteresis of {virtual.name}: it must be smaller than the quorum there")
    if virtual.load_monitor != "none":
        missing.say(f"load_monitor of {virtual.name}: weights that follow the servers' load")
    if virtual.slow_start:
        missing.say(f"slow_start of {virtual.name}")
    if virtual.mark_ports:
        missing.say(f"mark_ports of {virtual.name}: set the firewall mark {virtual.fwmark} with the firewall's own rules")
    for keyword in ("start_cmd", "stop_cmd"):
        if getattr(virtual, keyword):
            missing.say(f"{keyword} of {virtual.name}: it belongs to failover services")


def _settings(one: Exportable, network: Forwarding) -> Lines:
    virtual = one.virtual
    yield f"snmp_name {word(virtual.name)}"
    yield f"delay_loop {virtual.check_interval or max(virtual.timeout, 1):g}"
    yield f"lb_algo {virtual.scheduler}"
    yield from (flag.strip() for flag in (virtual.scheduler_flags or "").split(",") if flag.strip())
    yield f"lb_kind {_KINDS[network]}"
    if virtual.one_packet and virtual.protocol is Protocol.UDP:
        yield "ops"
    yield from _persistence(virtual, ipv6=one.ipv6)
    if not virtual.fwmark:
        yield f"protocol {virtual.protocol.upper()}"
    elif one.ipv6:
        yield "ip_family inet6"
    quorum = _quorum(one)
    if virtual.quorum and quorum:
        yield f"quorum {quorum}"
    if 0 < virtual.hysteresis < quorum:
        yield f"hysteresis {virtual.hysteresis}"
    if virtual.quiesce_server:
        yield "inhibit_on_failure"


def _quorum(one: Exportable) -> int:
    """The quorum as keepalived counts it: a sum of weights, so never more than there are."""
    return min(one.virtual.quorum or 1, sum(max(server.weight, 0) for server in one.servers))


def _persistence(virtual: VirtualServer, *, ipv6: bool) -> Lines:
    if virtual.persistent <= 0:
        return
    yield f"persistence_timeout {virtual.persistent}"
    if virtual.pe and virtual.protocol is Protocol.UDP:
        yield f"persistence_engine {virtual.pe}"
    length = length_of(virtual.pmask, ipv6=ipv6)
    if ipv6 and length and length != 128:
        yield f"persistence_granularity {length}"
    elif not ipv6 and length and length != 32:
        yield f"persistence_granularity {virtual.pmask}"


def _sorry(virtual: VirtualServer, network: Forwarding) -> Lines:
    host = ip_of(virtual.sorry_server) if virtual.sorry_server else None
    if host and host != NO_ADDRESS:
        yield f"sorry_server {host} {virtual.sorry_port or (0 if virtual.fwmark else virtual.port)}"
        yield f"sorry_server_lvs_method {_KINDS[network]}"


def _server(virtual: VirtualServer, server: RealServer, network: Forwarding, missing: Missing) -> Lines:
    method = server.forward or network
    yield f"real_server {server.address} {server_port(virtual, server, method)} {{"
    yield f"    snmp_name {word(server.name)}"
    yield f"    weight {max(server.weight, 0)}"
    if server.forward and server.forward is not network:
        yield f"    lvs_method {_KINDS[server.forward]}"
    if server.upper_threshold > 0:
        yield f"    uthreshold {server.upper_threshold}"
    if server.lower_threshold > 0:
        yield f"    lthreshold {server.lower_threshold}"
    yield from (f"    {line}" for line in checker(virtual, server, method, missing))
    yield "}"
