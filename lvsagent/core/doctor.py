"""What direct routing and tunnelling need on a real server, and what is missing there as far as a director can see.

Pure: from what a probe saw to words and to the commands to run on that server.  ``lvsagent.adapters.doctor_probe`` looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.clean_text import clean
from lvsagent.core.pools import Expansion

ETHERNET_MTU = 1500
IPIP_BYTES = 20


class Answer(StrEnum):
    """What came of a connection to the virtual address that was handed to a real server."""

    NOT_ASKED = "not asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENCE = "no answer"


@dataclass(frozen=True, slots=True)
class Patient:
    """A real server that is to answer with the virtual address itself."""

    virtual: str
    name: str
    address: str
    forwarding: Forwarding
    vip: str
    port: int
    tcp: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """``reason``: why the server could not be looked at (``""``: it was).

    ``answered_from``: where the answer came from; ``arp``: it answers ARP requests for the virtual address; ``mtu`` of the way there.
    """

    reason: str = ""
    answer: Answer = Answer.NOT_ASKED
    answered_from: str = ""
    arp: bool = False
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class Advice:
    """A finding, and the commands to run on the real server.  Not ``wrong``: only worth knowing."""

    words: str
    commands: tuple[str, ...] = ()
    wrong: bool = True


def patients(expansion: Expansion, ports: Mapping[int, int]) -> list[Patient]:
    """The real servers to look at: IPv4, direct routing or a tunnel.  ``ports``: place of a virtual server → its port."""
    found = []
    for key, pool in expansion.pools.items():
        vip = key.address or next(iter(rule.address for rule in expansion.marks if rule.mark == key.fwmark), "")
        for member in pool.members:
            if member.server.forwarding is Forwarding.NAT or not vip or ":" in vip + member.key.address:
                continue
            tcp = key.protocol in {Protocol.TCP, None}
            port = key.port or ports.get(pool.place, 0)
            found.append(Patient(clean(pool.name), clean(member.name), member.key.address, member.server.forwarding, vip, port, tcp))
    return found


def advise(patient: Patient, seen: Seen) -> list[Advice]:
    """What is to be said of a real server; nothing: all that can be seen from here is in order."""
    return list(_advise(patient, seen))


def _advise(patient: Patient, seen: Seen) -> Iterator[Advice]:
    if seen.reason:
        yield Advice(seen.reason)
        return
    if seen.answer is Answer.SILENCE:
        yield Advice(_silence_words(patient), _carrying(patient))
    elif seen.answer is Answer.REFUSED:
        words = (
            f"it has {patient.vip}, and nothing listens there on port {patient.port}: the program listens on another address or port only"
        )
        yield Advice(words, (f"ss -ltn 'sport = :{patient.port}'",))
    if seen.answered_from and seen.answered_from != patient.vip:
        yield Advice(f"it answers from {seen.answered_from} instead of {patient.vip}: clients drop such answers", _carrying(patient))
    if seen.arp:
        words = f"it answers ARP requests for {patient.vip}: clients may go to it alone, past the director"
        yield Advice(words, _SILENT_ARP)
    if patient.forwarding is Forwarding.TUNNEL and 0 < seen.mtu <= ETHERNET_MTU:
        room = seen.mtu - IPIP_BYTES
        words = f"a tunnel takes {IPIP_BYTES} of the {seen.mtu} bytes of a packet: clients that ignore ICMP hang with large requests"
        rule = f"iptables -t mangle -A OUTPUT -s {patient.vip} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {room - 40}"
        yield Advice(words, (rule,), wrong=False)


_SILENT_ARP = ("sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2")


def _silence_words(patient: Patient) -> str:
    if patient.forwarding is Forwarding.TUNNEL:
        return (
            f"it does not answer a connection to {patient.vip} port {patient.port} through the tunnel: it has not {patient.vip}, "
            "no tunnel interface, or drops what comes out of it (rp_filter)"
        )
    return f"it does not answer a connection to {patient.vip} port {patient.port}: it has not {patient.vip} on its loopback"


def _carrying(patient: Patient) -> tuple[str, ...]:
    """In an order in which the address is never announced."""
    tunnel: tuple[str, ...] = ()
    if patient.forwarding is Forwarding.TUNNEL:
        tunnel = (
            "modprobe ipip",
            "ip link set tunl0 up",
            "sysctl -w net.ipv4.conf.all.rp_filter=0",
            "sysctl -w net.ipv4.conf.tunl0.rp_filter=0",
        )
    return (*_SILENT_ARP, f"ip address add {patient.vip}/32 dev lo", *tunnel)
