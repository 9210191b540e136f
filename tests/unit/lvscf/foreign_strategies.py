"""Configurations that keepalived, and ipvsadm, can say whole: what the round trips draw from."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from app.lvscf.foreign.assemble import NEW_GLOBALS, Server, Service
from app.lvscf.model import (
    CheckKind,
    Config,
    DnsRecord,
    Forwarding,
    GlobalSettings,
    HostDevice,
    Protocol,
    RealServer,
    Scheduler,
    VirtualServer,
)

V4_SERVERS = [f"10.11.12.{number}" for number in range(20, 40)]
V6_SERVERS = [f"2001:db8:2::{number}" for number in range(20, 40)]
MASKS = ["255.255.255.0", "255.255.255.192", "255.255.0.0"]

_words = st.text(st.sampled_from("abcXYZ019-_. /ü"), min_size=1, max_size=10).map(str.strip).filter(bool)
_paths = st.text(st.sampled_from("abc/._-?=&%19#!{}"), max_size=12).map(lambda text: "/" + text)
_hosts = st.sampled_from([None, "www.example.com", "2001:db8::1"])
_codes = st.sampled_from(["200-299", "100-599", "200", "200,301-303", "404"])
_patterns = st.sampled_from([None, "Test Page", "OK|[Rr]eady", "a{2}[.]b#", "^up .*$"])
_CONNECTED = {CheckKind.CONNECT, CheckKind.HTTP, CheckKind.HTTPS, CheckKind.SMTP, CheckKind.DNS}
"""Checks that go to a port."""
_names = st.lists(_words, min_size=6, max_size=6, unique=True)


_PING: dict[str, object] = {"check": CheckKind.PING}
_pages: st.SearchStrategy[dict[str, object]] = st.builds(
    lambda kind, path, host, status, expect: {
        "check": kind,
        "check_path": path,
        "check_host": host,
        "check_status": status,
        "expect": expect,
        "use_regex": expect is not None,
    },
    st.sampled_from([CheckKind.HTTP, CheckKind.HTTPS]),
    _paths,
    _hosts,
    _codes,
    _patterns,
)
_names_asked: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {
        "check": st.just(CheckKind.DNS),
        "check_host": st.sampled_from([".", "www.example.com", "_dmarc.example.com"]),
        "check_record": st.sampled_from([record for record in DnsRecord if record not in {DnsRecord.PTR, DnsRecord.SRV}]),
    }
)


def _program(command: str) -> dict[str, object]:
    return {"check": CheckKind.PROGRAM, "send_program": command}


@st.composite
def _checked_at(draw: st.DrawFn, virtual: VirtualServer, network: Forwarding) -> VirtualServer:
    """Checks that go to another port than the packets: one for all servers, or one for each that does not translate."""
    if virtual.check not in _CONNECTED:
        return virtual
    if draw(st.booleans()):
        return replace(virtual, check_port=9000)
    servers = tuple(
        server if (server.forward or network) is Forwarding.NAT else replace(server, port=9100 + number, effective_port=9100 + number)
        for number, server in enumerate(virtual.servers)
    )
    # of servers that all have the same port to check it cannot be told whose it is
    return replace(virtual, servers=servers) if len({server.port for server in servers}) > 1 else virtual


def _checks(protocol: Protocol) -> st.SearchStrategy[dict[str, object]]:
    """What can be checked, and is said the same way in both languages."""
    if protocol is Protocol.UDP:
        spoken = {"check": CheckKind.UDP, "send": "who\\r\\n", "expect": "number*"}
        heard = {"check": CheckKind.UDP, "expect": "number*"}
        return st.one_of(st.sampled_from([{}, spoken, heard, _program("/usr/libexec/check-udp %h %p"), _PING]), _names_asked)
    if protocol is Protocol.SCTP:
        return st.sampled_from([{}, _program("/usr/libexec/check %h"), _PING])
    mail = st.fixed_dictionaries({"check": st.just(CheckKind.SMTP), "check_host": _hosts})
    fixed = [{"check": CheckKind.CONNECT}, _program("/usr/bin/check -H %h -p %p"), _PING]
    return st.one_of(st.sampled_from(fixed), _pages, mail, _names_asked)


@st.composite
def _servers(draw: st.DrawFn, *, ipv6: bool, port: int, network: Forwarding, named: bool) -> tuple[RealServer, ...]:
    hosts = draw(st.lists(st.sampled_from(V6_SERVERS if ipv6 else V4_SERVERS), min_size=1, max_size=4, unique=True))
    names = draw(_names) if named else hosts
    made = []
    for host, name in zip(hosts, names, strict=False):
        other = draw(st.sampled_from([None, None, *Forwarding]))
        method = other or network
        own = draw(st.sampled_from([port, 8080])) if method is Forwarding.NAT else port
        made.append(
            RealServer(
                name=name,
                address=host,
                active=True,
                port=own,
                effective_port=own,
                weight=draw(st.integers(0, 100)),
                forward=None if other is network else other,
                upper_threshold=draw(st.sampled_from([0, 1000])),
                lower_threshold=draw(st.sampled_from([0, 800])),
            )
        )
    return (replace(made[0], weight=made[0].weight or 1), *made[1:])


@st.composite
def _virtual(draw: st.DrawFn, number: int, network: Forwarding, *, whole: bool) -> VirtualServer:
    ipv6 = draw(st.booleans())
    protocol = draw(st.sampled_from(list(Protocol)))
    port = draw(st.sampled_from([80, 443, 53, 8000 + number]))
    persistent = draw(st.sampled_from([0, 0, 300]))
    masks = ["ffff:ffff:ffff:ffff::", "0.0.0.0"] if ipv6 else [*MASKS, "0.0.0.0"]
    host = f"2001:db8:1::{number:x}" if ipv6 else f"192.0.2.{100 + number}"
    made = VirtualServer(
        name="",
        active=True,
        address=HostDevice(host, "eth1" if ipv6 else f"eth1:{number}"),
        protocol=protocol,
        port=port,
        scheduler=draw(st.sampled_from(list(Scheduler))),
        persistent=persistent,
        pmask=draw(st.sampled_from(masks)) if persistent else "0.0.0.0",
        one_packet=draw(st.booleans()) if protocol is Protocol.UDP else False,
        servers=draw(_servers(ipv6=ipv6, port=port, network=network, named=whole)),
    )
    if made.scheduler in {Scheduler.SH, Scheduler.MH}:
        made = replace(
            made,
            scheduler_flags=draw(st.sampled_from([None, f"{made.scheduler}-port", f"{made.scheduler}-port,{made.scheduler}-fallback"])),
        )
    if not whole:
        return made
    values = draw(_checks(protocol))
    checked = replace(made, **values)  # type: ignore[arg-type]
    return replace(
        draw(_checked_at(checked, network)) if draw(st.booleans()) else checked,
        vip_nmask="ffff:ffff:ffff:ffff::" if ipv6 else draw(st.sampled_from(MASKS)),
        quiesce_server=draw(st.booleans()),
        quorum=min(draw(st.sampled_from([0, 1, 2])), sum(server.weight for server in made.servers)),
        sorry_server=draw(st.sampled_from([None, "2001:db8::9" if ipv6 else "10.11.12.9"])),
        check_interval=draw(st.sampled_from([1, 6, 2.5])),
        check_timeout=draw(st.sampled_from([1, 4])) if values else 0,
        fall=draw(st.sampled_from([1, 3])) if values else 0,
        rise=1,
    )


@st.composite
def _settings(draw: st.DrawFn, network: Forwarding) -> GlobalSettings:
    keepalive = draw(st.sampled_from([0.5, 1, 6]))
    router = HostDevice("10.11.12.1", "eth0:1") if network is Forwarding.NAT and draw(st.booleans()) else None
    settings = replace(
        NEW_GLOBALS,
        network=network,
        keepalive=keepalive,
        deadtime=keepalive * draw(st.sampled_from([3, 5])),
        nat_router=router,
        nat_nmask="255.255.255.0" if router else "0.0.0.0",
        tcp_timeout=draw(st.sampled_from([0, 900])),
        udp_timeout=draw(st.sampled_from([0, 300])),
        primary="192.0.2.11",
        backup="192.0.2.12",
        backup_active=True,
        preempt=draw(st.booleans()),
        virtual_mac=draw(st.booleans()),
        monitor_links=draw(st.sampled_from([0, 1])),
        active_cmd=draw(st.sampled_from([None, "/usr/local/bin/up now"])),
    )
    if draw(st.booleans()):
        settings = replace(settings, syncdaemon=True, syncd_iface="eth2", syncd_id=draw(st.integers(0, 255)))
    return settings


@st.composite
def for_keepalived(draw: st.DrawFn) -> Config:
    """Everything that has a counterpart in keepalived.conf and comes back from it."""
    network = draw(st.sampled_from(list(Forwarding)))
    names = draw(_names)
    virtual = [
        replace(draw(_virtual(number, network, whole=True)), name=names[number - 1]) for number in range(1, draw(st.integers(1, 4)) + 1)
    ]
    settings = draw(_settings(network))
    if all(one.address and ":" in one.address.host for one in virtual):  # VRRP speaks in the family of the virtual addresses
        settings = replace(settings, primary="2001:db8:1::b", backup="2001:db8:1::c", nat_router=None, nat_nmask="0.0.0.0")
    inside = any(server.address.startswith("10.") for one in virtual for server in one.servers)
    if not inside:  # an address in no real server's network is no gateway
        settings = replace(settings, nat_router=None, nat_nmask="0.0.0.0")
    return Config(globals=settings, virtual=tuple(virtual))


@st.composite
def for_ipvsadm(draw: st.DrawFn) -> Config:
    """What a table holds, under the names that an import gives, on the interface that it is told."""
    network = draw(st.sampled_from(list(Forwarding)))
    found = []
    labels = 0
    for number in range(1, draw(st.integers(1, 4)) + 1):
        one = draw(_virtual(number, network, whole=False))
        assert one.address
        ipv6 = ":" in one.address.host
        labels += not ipv6
        check = CheckKind.CONNECT if one.protocol is Protocol.TCP else CheckKind.AUTO
        name = Service(0, one.address.host, one.port, protocol=one.protocol, servers=[Server(0, "", 0)]).title
        found.append(replace(one, name=name, check=check, address=HostDevice(one.address.host, "eth1" if ipv6 else f"eth1:{labels}")))
    methods = [server.forward or network for one in found for server in one.servers]
    usual = max(dict.fromkeys(methods), key=methods.count)
    found = [
        replace(
            one,
            servers=tuple(
                replace(server, forward=None if (server.forward or network) is usual else server.forward or network)
                for server in one.servers
            ),
        )
        for one in found
    ]
    return Config(globals=replace(NEW_GLOBALS, network=usual), virtual=tuple(found))
