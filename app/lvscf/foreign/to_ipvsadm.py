"""An lvs.cf as rules for ``ipvsadm -R``: the table while every real server is up.

Owns that format in this direction.  The same table comes out of the agent's own plan; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.lvscf.foreign.missing import Exportable, Missing, exportable, server_port
from app.lvscf.foreign.report import Exported
from app.lvscf.foreign.values import joined, length_of, mask_of
from app.lvscf.model import NO_ADDRESS, Config, Forwarding, GlobalSettings, Protocol, RealServer, VirtualServer

_PROTOCOLS = {Protocol.TCP: "-t", Protocol.UDP: "-u", Protocol.SCTP: "--sctp-service"}
_METHODS = {Forwarding.NAT: "-m", Forwarding.DIRECT: "-g", Forwarding.TUNNEL: "-i"}


def export_ipvsadm(config: Config) -> Exported:
    """The rules.  What a table cannot say (checks, addresses, the other director) is in ``missing`` alone: ipvsadm takes no comments."""
    missing = Missing()
    lines = [line for one in exportable(config, missing) for line in _service(one, config.globals)]
    for words in _left_out(config):
        missing.say(words)
    return Exported("".join(f"{line}\n" for line in lines), tuple(missing.entries))


def _service(one: Exportable, settings: GlobalSettings) -> Iterator[str]:
    virtual = one.virtual
    where = _where(one)
    yield f"-A {where} -s {virtual.scheduler}{_settings(virtual, ipv6=one.ipv6)}"
    for server in one.servers:
        yield f"-a {where} {_server(virtual, server, server.forward or settings.network)}"


def _where(one: Exportable) -> str:
    virtual = one.virtual
    if virtual.fwmark:
        return f"-f {virtual.fwmark}" + (" -6" if one.ipv6 else "")
    return f"{_PROTOCOLS[virtual.protocol]} {joined(one.host, virtual.port)}"


def _settings(virtual: VirtualServer, *, ipv6: bool) -> str:
    words = []
    if virtual.persistent > 0:
        words.append(f"-p {virtual.persistent}")
        length = length_of(virtual.pmask, ipv6=ipv6)
        if length and (ipv6 and length != 128):
            words.append(f"-M {length}")
        elif length and mask_of(length, ipv6=ipv6) != NO_ADDRESS:
            words.append(f"-M {mask_of(length, ipv6=ipv6)}")
        if virtual.pe and virtual.protocol is Protocol.UDP:
            words.append(f"--pe {virtual.pe}")
    if virtual.one_packet and virtual.protocol is Protocol.UDP:
        words.append("-o")
    if virtual.scheduler_flags:
        words.append("-b " + ",".join(flag.strip() for flag in virtual.scheduler_flags.split(",")))
    return "".join(f" {word}" for word in words)


def _server(virtual: VirtualServer, server: RealServer, method: Forwarding) -> str:
    words = [f"-r {joined(server.address, server_port(virtual, server, method))}", _METHODS[method], f"-w {max(server.weight, 0)}"]
    if server.upper_threshold > 0:
        words.append(f"-x {server.upper_threshold}")
    if server.lower_threshold > 0:
        words.append(f"-y {server.lower_threshold}")
    return " ".join(words)


def _left_out(config: Config) -> Iterator[str]:
    """What no table holds."""
    settings = config.globals
    active = [virtual for virtual in config.virtual if virtual.active]
    if active:
        yield "health checks: a table knows of none, every active real server is in it"
    if any(virtual.address and virtual.address.host != NO_ADDRESS for virtual in active) or settings.nat_router:
        yield "virtual addresses and nat_router: bring them up on the interfaces yourself"
    if settings.backup_active:
        yield "the other director, the heartbeat and the role"
    if settings.syncdaemon:
        yield f"the sync daemon: ipvsadm --start-daemon master --mcast-interface {settings.syncd_iface} --syncid {settings.syncd_id}"
    if settings.tcp_timeout or settings.tcpfin_timeout or settings.udp_timeout:
        yield f"timeouts: ipvsadm --set {settings.tcp_timeout} {settings.tcpfin_timeout} {settings.udp_timeout}"
    for virtual in active:
        yield from _of_virtual(virtual)


def _of_virtual(virtual: VirtualServer) -> Iterator[str]:
    for keyword in ("sorry_server", "quiesce_server", "quorum", "slow_start"):
        if getattr(virtual, keyword):
            yield f"{keyword} of {virtual.name}: it follows the health of real servers"
    if virtual.mark_ports:
        yield f"mark_ports of {virtual.name}: rules of the firewall set marks"
    if virtual.load_monitor != "none":
        yield f"load_monitor of {virtual.name}: weights that follow the servers' load"
