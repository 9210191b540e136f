"""What is to be said of our own directives about traffic where they make no sense, alone or together.

Pure; ``validate`` puts the findings at their lines.  ``network`` is the forwarding of servers that have none of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.lvscf.check_rules import MONITORS, Finding
from app.lvscf.mark_ports import BadPortsError, PortRange, read_ports
from app.lvscf.model import NO_ADDRESS, Forwarding, Protocol, RealServer, Scheduler, VirtualServer

FLAGGED = (Scheduler.SH, Scheduler.MH)
"""The schedulers that have flags."""
WEIGHTLESS = (Scheduler.RR, Scheduler.LC, Scheduler.DH)
RANKED = (Scheduler.FO, Scheduler.OVF)
"""Schedulers that go by the highest weight, and by how many connections a weight allows."""


def virtual_findings(virtual: VirtualServer, network: Forwarding) -> Iterator[Finding]:
    """What is to be said of a virtual server's directives."""
    yield from _one_packet(virtual, network)
    yield from _scheduling(virtual)
    yield from _quorum(virtual)
    yield from _sorry(virtual, network)
    yield from _marks(virtual)
    yield from _load(virtual)


def server_findings(server: RealServer) -> Iterator[Finding]:
    """What is to be said of a real server's thresholds."""
    upper, lower = server.upper_threshold, server.lower_threshold
    if 0 < upper < lower:
        yield Finding("thresholds-crossed", "lower_threshold", f"lower_threshold {lower} is above upper_threshold {upper}")
    if lower and not upper:
        yield Finding("threshold-alone", "lower_threshold", "lower_threshold says when an overloaded server is free again, and no "
                      "upper_threshold says when it is overloaded")  # fmt: skip


def _one_packet(virtual: VirtualServer, network: Forwarding) -> Iterator[Finding]:
    if not virtual.one_packet:
        return
    if virtual.protocol is not Protocol.UDP:
        yield Finding("one-packet-without-udp", "one_packet", f"one_packet is for UDP, and this service is {virtual.protocol}")
    elif any((server.forward or network) is Forwarding.NAT for server in virtual.servers):
        text = "the kernel remembers nothing of one_packet's packets, so that with NAT answers leave with the real server's own address"
        yield Finding("one-packet-with-nat", "one_packet", text)


def _scheduling(virtual: VirtualServer) -> Iterator[Finding]:
    udp = virtual.protocol is Protocol.UDP
    if virtual.pe and not udp:
        yield Finding(
            "pe-without-udp", "pe", f"pe = {virtual.pe} reads UDP packets, and this service is {virtual.protocol}: it is not used"
        )
    elif virtual.pe and not virtual.persistent:
        yield Finding(
            "pe-without-persistence", "pe", f"pe = {virtual.pe} says who one client is, which only persistent asks: it is not used"
        )
    elif virtual.pe and not virtual.one_packet:
        text = (
            f"without one_packet, all that one client address and port sends goes one way, and pe = {virtual.pe} tells no calls apart in it"
        )
        yield Finding("pe-without-one-packet", "pe", text)
    for flag in filter(None, (flag.strip() for flag in (virtual.scheduler_flags or "").split(","))):
        scheduler = flag.partition("-")[0]
        if virtual.scheduler not in FLAGGED or scheduler not in {"flag", virtual.scheduler}:
            text = f"{flag} means nothing to scheduler {virtual.scheduler}"
            yield Finding("flag-of-other-scheduler", "scheduler_flags", text)


def _load(virtual: VirtualServer) -> Iterator[Finding]:
    """A load that is read for a scheduler that makes nothing of weights, or something else."""
    if virtual.load_monitor not in MONITORS:
        return
    if virtual.scheduler in WEIGHTLESS:
        text = f"scheduler {virtual.scheduler} looks at no weights, so that the load changes nothing; wlc and wrr do"
        yield Finding("load-without-weights", "load_monitor", text)
    elif virtual.scheduler in RANKED:
        text = f"to scheduler {virtual.scheduler} a weight is no share: a busy server's smaller weight sends all its clients elsewhere"
        yield Finding("load-without-weights", "load_monitor", text)


def _quorum(virtual: VirtualServer) -> Iterator[Finding]:
    there = len(virtual.servers)
    if virtual.quorum > there:
        yield Finding("quorum-unreachable", "quorum", f"quorum {virtual.quorum} can never be reached with {there} real servers")
    elif virtual.hysteresis and max(virtual.quorum, 1) + virtual.hysteresis > there:
        text = f"quorum and hysteresis together are more than the {there} real servers: once lost, it is reached with all of them"
        yield Finding("hysteresis-above-servers", "hysteresis", text)


def _sorry(virtual: VirtualServer, network: Forwarding) -> Iterator[Finding]:
    if not virtual.sorry_port or virtual.sorry_port == virtual.port:
        return
    if virtual.sorry_server in (None, NO_ADDRESS):
        yield Finding("sorry-port-alone", "sorry_port", "sorry_port is the port of a sorry server, and there is none")
    elif network is not Forwarding.NAT:
        text = f"{network} forwarding cannot change ports: the sorry server gets the packets at the virtual server's port"
        yield Finding("sorry-port-unused", "sorry_port", text)


def _marks(virtual: VirtualServer) -> Iterator[Finding]:
    if virtual.mark_ports is None:
        return
    try:
        read_ports(virtual.mark_ports, virtual.protocol)
    except BadPortsError as error:
        yield Finding("bad-mark-ports", "mark_ports", f"mark_ports: {error}")
        return
    if not virtual.fwmark:
        yield Finding("mark-ports-unused", "mark_ports", "mark_ports says what fwmark is put on, and there is no fwmark")
    elif virtual.address is None or virtual.address.host == NO_ADDRESS:
        yield Finding("mark-ports-unused", "mark_ports", "mark_ports are ports of the virtual address, and there is none")


def mark_overlaps(virtuals: Iterable[VirtualServer]) -> Iterator[tuple[VirtualServer, str]]:
    """The virtual servers that mark a port of an address which an earlier one marks otherwise, and what to say of them."""
    marked: dict[str, list[tuple[PortRange, VirtualServer]]] = {}
    for virtual in virtuals:
        if virtual.address is None or not virtual.fwmark or virtual.mark_ports is None:
            continue
        before = marked.setdefault(virtual.address.host, [])
        try:
            ports = read_ports(virtual.mark_ports, virtual.protocol)
        except BadPortsError:
            continue
        first = next((found for port in ports for found in before if found[1].fwmark != virtual.fwmark and _meet(port, found[0])), None)
        if first is not None:
            yield virtual, f"{first[0]} of {virtual.address.host} has the mark {first[1].fwmark} already; a packet has one"
        before.extend((port, virtual) for port in ports)


def _meet(one: PortRange, other: PortRange) -> bool:
    return one.protocol is other.protocol and one.first <= other.last and other.first <= one.last
