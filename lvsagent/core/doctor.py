"""What direct routing, tunnelling and NAT need of a real server, and what is missing there as far as a director can see.

Pure: who is to be looked at, and from what a probe saw to words.  ``lvsagent.adapters.doctor_probe`` looks, ``doctor_commands`` has what
is to be run there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.lvscf import ip_of
from app.lvscf.model import NO_ADDRESS, Config, Forwarding, GlobalSettings, Protocol, RealServer, ServiceKind, VirtualServer
from lvsagent.core import doctor_commands as run
from lvsagent.core.check_plan import check_spec
from lvsagent.core.check_spec import CheckSpec, Method
from lvsagent.core.clean_text import clean
from lvsagent.core.expansion import Resolve, expand
from lvsagent.core.marks import marks_of
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Patient, Seen
from lvsagent.core.pools import Member, Pool

ETHERNET_MTU = 1500
_QUERY_NUMBER = 0x1D0C


class Sure(StrEnum):
    """How sure a finding is: what was seen says so itself; nearly nothing else explains it; it is one of several explanations."""

    SEEN = "seen"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding, the commands to run on the real server, and those that keep it so when that is started again.

    Not ``wrong``: only worth knowing.
    """

    words: str
    commands: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    wrong: bool = True
    sure: Sure = Sure.SEEN


@dataclass(frozen=True, slots=True)
class Ward:
    """A virtual server's real servers to look at; ``problems``: those that cannot be, in words."""

    patients: tuple[Patient, ...] = ()
    problems: tuple[str, ...] = field(default=())


# --- whom to look at -----------------------------------------------------------------------------------------------------------


def ward(config: Config, place: int, resolve: Resolve) -> Ward:
    """The real servers of the virtual server at ``place``, enabled or not: who is about to enable one wants to know before."""
    chosen = config.virtual[place]
    servers = tuple(replace(server, active=True) for server in chosen.servers)
    alone = replace(config.globals, service=ServiceKind.LVS)
    expansion = expand(Config(globals=alone, virtual=(replace(chosen, active=True, servers=servers),)), resolve)
    problems = [*expansion.failed.values()]
    found: list[Patient] = []
    for pool in expansion.pools.values():
        vip = _vip(chosen, pool, resolve)
        if not vip:
            problems.append("it has a firewall mark and no address: there is nothing that real servers could be asked for")
            continue
        problems += [problem.message for problem in expansion.problems if problem.code in {"server-address", "duplicate-server"}]
        found += [_patient(config, chosen, member, vip) for member in pool.members]
    return Ward(tuple(found), tuple(clean(problem) for problem in problems))


def _vip(virtual: VirtualServer, pool: Pool, resolve: Resolve) -> str:
    host = virtual.address.host if virtual.address else ""
    address = pool.key.address or (ip_of(host) or resolve(host) if host else "") or ""
    return "" if address == NO_ADDRESS else address


def _patient(config: Config, virtual: VirtualServer, member: Member, vip: str) -> Patient:
    server = virtual.servers[member.place]
    port, protocol = _asked_at(virtual, server, member.server.forwarding)
    return Patient(
        virtual=clean(virtual.name),
        name=clean(member.name),
        address=member.key.address,
        forwarding=member.server.forwarding,
        vip=vip,
        port=port,
        protocol=protocol,
        payload=_payload(virtual, server, member.key.address, port) if protocol is Protocol.UDP else b"",
        gateway=_gateway(config.globals, member.key.address),
    )


def _asked_at(virtual: VirtualServer, server: RealServer, forwarding: Forwarding) -> tuple[int, Protocol]:
    """The port that a server is asked at, and its protocol.  Of the ports of a mark it is the first that is named alone (else 0)."""
    if forwarding is Forwarding.NAT and server.effective_port != virtual.port:
        return server.effective_port, virtual.protocol
    if not (virtual.fwmark and virtual.mark_ports):
        return virtual.port, virtual.protocol
    named = (one for one in marks_of(virtual, "*") if one.first == one.last)
    return next(((one.first, one.protocol) for one in named), (0, virtual.protocol))


def _gateway(settings: GlobalSettings, address: str) -> str:
    """The NAT router's address, where it is one that this server can use."""
    found = ip_of(settings.nat_router.host) if settings.nat_router else None
    return found if found and found != NO_ADDRESS and (":" in found) == (":" in address) else ""


def _payload(virtual: VirtualServer, server: RealServer, address: str, port: int) -> bytes:
    """What the check of a UDP service asks; empty when it asks something else, or nothing."""
    spec = check_spec(virtual, key=server.name, address=address, port=port)
    if spec.protocol != Protocol.UDP.value or spec.port != port:
        return b""
    return _query(spec) if spec.method is Method.DNS else spec.send


def _query(spec: CheckSpec) -> bytes:
    from lvsagent.core.check_dns import BadQueryError, DnsQuestion  # noqa: PLC0415 -- large, and lvsd needs it for this alone

    try:
        return DnsQuestion(spec, _QUERY_NUMBER).wire
    except BadQueryError:
        return b""


# --- what to say ---------------------------------------------------------------------------------------------------------------


def advise(patient: Patient, seen: Seen) -> list[Advice]:
    """What is to be said of a real server; nothing: all that can be seen from here is in order."""
    if seen.reason:
        return [Advice(seen.reason)]
    if patient.forwarding is Forwarding.NAT:
        return list(_way_back(patient, seen))
    reached = seen.service.answered or seen.ping.answered
    return [*_holding(patient, seen), *_claiming(patient, seen), *(_sizes(patient, seen) if reached else ())]


def _holding(patient: Patient, seen: Seen) -> Iterator[Advice]:
    """Whether it has the virtual address, and answers there."""
    asked = [one for one in (seen.service, seen.ping) if one.answer is not Answer.NOT_ASKED]
    if not asked:
        return
    passed_on = next((one for one in asked if one.answer is Answer.PASSED_ON or one.other), None)
    if passed_on:
        by = f" (the answer came from {passed_on.other})" if passed_on.other else ""
        words = f"it hands packets to {patient.vip} on to others{by} instead of taking them: it has not {patient.vip}, and forwards packets"
        yield Advice(words, run.carrying(patient), run.kept(patient), sure=Sure.LIKELY)
    elif not any(one.answered for one in asked):
        yield Advice(_missing(patient), run.carrying(patient), run.kept(patient), sure=Sure.LIKELY)
    else:
        yield from _serving(patient, seen)


def _serving(patient: Patient, seen: Seen) -> Iterator[Advice]:
    """It has the virtual address: what is the service's answer?"""
    vip, service, where = patient.vip, seen.service, f"port {patient.port}"
    if service.answer is Answer.REFUSED:
        words = f"it has {vip}, and nothing listens there on {where}: the program listens on another address or port only"
        yield Advice(words, run.listeners(patient))
    elif service.answer is Answer.FORBIDDEN:
        yield Advice(f"it has {vip}, and its firewall rejects what comes to {where}", run.firewall(patient))
    elif service.answer is Answer.SILENCE and patient.protocol is Protocol.UDP:
        yield _unheard_datagram(patient)
    elif service.answer is Answer.SILENCE:
        words = f"it has {vip} (it answers a ping there), and does not answer a connection to {where}: a firewall on it drops that"
        yield Advice(words, run.firewall(patient), sure=Sure.LIKELY)
    elif service.source and service.source != vip:
        yield _wrong_source(patient, service.source)


def _unheard_datagram(patient: Patient) -> Advice:
    where = f"{patient.vip} port {patient.port}"
    if patient.payload:
        words = f"it has {patient.vip}, and nothing answers there what the check asks on port {patient.port}: a firewall drops it"
        return Advice(words, (*run.listeners(patient), *run.firewall(patient)), sure=Sure.LIKELY)
    words = (
        f"it has {patient.vip}; an empty datagram to {where} has no answer, which many programs do not give: "
        "with a check that asks something (check = dns or udp) that is asked here too"
    )
    return Advice(words, run.listeners(patient), wrong=False, sure=Sure.POSSIBLE)


def _wrong_source(patient: Patient, source: str) -> Advice:
    words = f"it answers from {source} instead of {patient.vip}: clients drop such answers"
    if patient.protocol is Protocol.UDP:
        words += (
            f". The program listens on every address and lets the kernel choose whence it answers: have it listen on {patient.vip} itself"
        )
        return Advice(words, run.listeners(patient))
    return Advice(f"{words}. A NAT rule on it changes the address", run.translations(patient))


def _missing(patient: Patient) -> str:
    what = "a connection" if patient.protocol is Protocol.TCP else "a datagram" if patient.protocol is Protocol.UDP else "anything sent"
    where = f"{patient.vip} port {patient.port}" if patient.port and patient.protocol is not Protocol.SCTP else patient.vip
    beside = "" if patient.protocol is Protocol.SCTP else ", nor a ping"
    if patient.forwarding is Forwarding.TUNNEL:
        drops = "" if patient.six else " (rp_filter)"
        return (
            f"it does not answer {what} to {where} through the tunnel{beside}: it has not {patient.vip}, no tunnel interface, "
            f"or drops what comes out of it{drops}"
        )
    return f"it does not answer {what} to {where}{beside}: it has not {patient.vip} on its loopback"


def _claiming(patient: Patient, seen: Seen) -> Iterator[Advice]:
    if not seen.claims:
        return
    past = "clients may go to it alone, past the director"
    if patient.six:
        words = f"it answers neighbour solicitations for {patient.vip}: it has it on an interface of this network; {past}"
    else:
        words = (
            f"it answers ARP requests for {patient.vip}: {past}. If it goes on after these commands, it has it on an interface of this "
            "network instead of on lo: the last command shows where"
        )
    yield Advice(words, run.silence(patient), run.silence_kept(patient))


def _sizes(patient: Patient, seen: Seen) -> Iterator[Advice]:
    if 0 < seen.passes < seen.room:
        words = (
            f"packets to it get lost when they have more than {seen.passes} bytes, and this director sends up to {seen.room}: "
            "large requests hang. The MTU of its interface, or of a switch on the way, is too small"
        )
        yield Advice(words, run.larger_mtu(seen.director, seen.mtu), sure=Sure.LIKELY)
    taken = seen.mtu - seen.room
    if patient.forwarding is Forwarding.TUNNEL and taken > 0 and seen.mtu <= ETHERNET_MTU:
        words = f"a tunnel takes {taken} of the {seen.mtu} bytes of a packet: clients that ignore ICMP hang with large requests"
        yield Advice(words, run.smaller_segments(patient, seen.room), wrong=False, sure=Sure.POSSIBLE)


def _way_back(patient: Patient, seen: Seen) -> Iterator[Advice]:
    """NAT: whether what it answers to clients comes back through this director."""
    asked = [one for one in (seen.service, seen.ping) if one.answer is not Answer.NOT_ASKED]
    other = next((one.other for one in asked if one.other), "")
    commands, kept = run.way_back(patient, seen.director), run.way_back_kept(patient, seen.director)
    if not seen.here:
        words = f"only the director that has {patient.vip} sees whether its answers to clients come back: look there too"
        yield Advice(words, wrong=False, sure=Sure.POSSIBLE)
    elif other:
        words = f"its answers to clients do not come straight back to this director but from {other}: its default route leads elsewhere"
        yield Advice(words, commands, kept, sure=Sure.LIKELY)
    elif any(one.answered for one in asked):
        return
    elif seen.own.answered:
        words = (
            "it answers this director, but what it answers to a client does not come back here: its default route leads elsewhere, "
            "or it has none"
        )
        yield Advice(words, commands, kept, sure=Sure.LIKELY)
    else:
        words = "it answers this director neither a ping nor on its port, so the way of its answers cannot be seen"
        yield Advice(words, wrong=False, sure=Sure.POSSIBLE)
