"""The doctor's look at a real server: a client's questions handed to it as IPVS would, and who claims the virtual address.

Owns what is asked, in which order and for how long.  It judges nothing (``lvsagent.core.doctor`` does) and leaves no connection behind.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from app.lvscf.model import Forwarding, Protocol
from lvsagent.adapters import doctor_wire as wires
from lvsagent.adapters.doctor_wire import Way
from lvsagent.core import packets
from lvsagent.core.packets import Answer, Question, Reply
from lvsagent.core.patients import NOTHING, Heard, Patient, Seen
from lvsagent.ports import AdapterError

LIMIT_S = 0.5
TRIES = 3
PINGS = 2
SMALL_BYTES = 64
SIZES = (9000, 8000, 4000, 1500, 1492, 1480, 1460, 1450, 1440, 1420, 1400, 1300, 1280, 1000, 576)
"""Sizes of packets that networks and tunnels are known to end at."""
TUNNEL_BYTES = {4: 20, 6: 40}
_PROTOCOLS = {Protocol.TCP: packets.TCP, Protocol.UDP: packets.UDP}

Send = Callable[[bytes], None]


def look(patient: Patient) -> Seen:
    """Look at one real server; takes four seconds at most.  Raises AdapterError without the privilege."""
    try:
        return _look(patient)
    except PermissionError as error:
        raise AdapterError("looking at real servers takes raw packets (CAP_NET_RAW)") from error
    except OSError as error:
        return Seen(reason=f"it cannot be looked at: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class _Case:
    """A real server on its way: ``send`` hands it a packet as IPVS would; ``hardware`` is ``b""`` where it is no neighbour."""

    patient: Patient
    way: Way
    hardware: bytes
    send: Send

    @property
    def target(self) -> str:
        """The address that clients' packets have when they reach it."""
        return self.patient.address if self.patient.forwarding is Forwarding.NAT else self.patient.vip


def _look(patient: Patient) -> Seen:
    if (":" in patient.address) != patient.six:
        return Seen(reason=f"it cannot be looked at: it and {patient.vip} are of different IP versions")
    way = wires.way_to(patient.address, avoid=patient.vip)
    if way.local:
        return Seen(reason="it is this director itself, which cannot be looked at from here")
    neighbour = way.ethernet and not way.gateway
    hardware = _found(patient.address, way) if neighbour else b""
    if neighbour and not hardware and patient.forwarding is not Forwarding.DIRECT:
        return Seen(reason="nobody answers at its address: it is off, or not on this network")
    if not hardware and patient.forwarding is Forwarding.DIRECT:
        behind = "it is off, or behind a router" if neighbour else f"it is behind {way.gateway or way.device}"
        return Seen(reason=f"it has no hardware address on this director's networks, which direct routing needs: {behind}")
    case = _Case(patient, way, hardware, _sending(patient, way, hardware))
    return _look_through_nat(case) if patient.forwarding is Forwarding.NAT else _look_at_vip(case)


def _sending(patient: Patient, way: Way, hardware: bytes) -> Send:
    if patient.forwarding is Forwarding.TUNNEL:
        return lambda packet: wires.through_tunnel(packet, patient.address)
    if hardware:
        return lambda packet: wires.to_neighbour(packet, way, hardware)
    return lambda packet: wires.routed(packet, patient.address)


def _look_at_vip(case: _Case) -> Seen:
    """Direct routing or a tunnel: what the server says to packets for the virtual address."""
    patient, way = case.patient, case.way
    room = way.mtu - (TUNNEL_BYTES[6 if patient.six else 4] if patient.forwarding is Forwarding.TUNNEL else 0)
    with ThreadPoolExecutor(1) as beside:
        claiming = beside.submit(wires.who_has, patient.vip, way, LIMIT_S, lambda one: one == case.hardware) if case.hardware else None
        passes, ping, service = _asked(case, way.own, (room, *SIZES, SMALL_BYTES))
        claimed = claiming.result() if claiming else set()
    return Seen(
        service=_by_whom(service, claimed),
        ping=_by_whom(ping, claimed),
        claims=case.hardware in claimed,
        mtu=way.mtu,
        room=room,
        passes=passes,
        director=way.own,
    )


def _by_whom(heard: Heard, claimed: set[bytes]) -> Heard:
    """Another hardware address is another machine's when that has the virtual address; else it may be a second one of the server's own."""
    return heard if bytes.fromhex(heard.other.replace(":", "")) in claimed else replace(heard, other="")


def _look_through_nat(case: _Case) -> Seen:
    """As a client whose address the real server can only answer by its default route: the virtual address stands for it."""
    patient, way = case.patient, case.way
    if not wires.way_to(patient.vip).local:
        return Seen(director=way.own, here=False)
    _passes, ping, service = _asked(case, patient.vip, (SMALL_BYTES,))
    own = NOTHING
    if not ping.answered and not service.answered:
        _passes, own_ping, own_service = _asked(case, way.own, (SMALL_BYTES,))
        own = own_ping if own_ping.answered else own_service
    return Seen(service=service, ping=ping, own=own, mtu=way.mtu, director=way.own)


def _found(address: str, way: Way) -> bytes:
    """The hardware address of a neighbour; ``b""``: nobody answers."""
    for _ in range(TRIES):
        if heard := wires.who_has(address, way, LIMIT_S):
            return next(iter(heard))
    return b""


def _asked(case: _Case, own: str, sizes: tuple[int, ...]) -> tuple[int, Heard, Heard]:
    """Ping it and ask for its service at once, from our address ``own``: the largest ping that passed, its answer, the service's."""
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(_service, case, own)
        passes, ping = _ping(case, own, sizes)
        return passes, ping, asking.result()


def _service(case: _Case, own: str) -> Heard:
    """Ask for the service, and take a connection back as soon as it is there."""
    patient = case.patient
    protocol = _PROTOCOLS.get(patient.protocol)
    if protocol is None or not patient.port:
        return NOTHING
    question = Question(own, case.target, protocol, 32768 + secrets.randbelow(28000), patient.port, secrets.randbits(32))
    packet = packets.syn(question) if protocol == packets.TCP else packets.datagram(question, patient.payload)
    with wires.listening(own, question.port) as wire:
        for _ in range(TRIES):
            case.send(packet)
            heard = wires.first(wire, lambda found, sender: _heard(question, found, sender, case.hardware), LIMIT_S)
            if heard is not None:
                if protocol == packets.TCP and heard.answer is Answer.ACCEPTED:
                    case.send(packets.reset(question))
                return heard
    return Heard(Answer.SILENCE)


def _heard(question: Question, packet: bytes, sender: bytes, hardware: bytes) -> Heard | None:
    reply = packets.reply_to(question, packet)
    return _said(reply, sender, hardware) if reply else None


def _said(reply: Reply, sender: bytes, hardware: bytes) -> Heard:
    other = "" if not hardware or sender == hardware else sender.hex(":")
    return Heard(reply.answer, reply.source, other)


def _ping(case: _Case, own: str, sizes: tuple[int, ...]) -> tuple[int, Heard]:
    """Ping with packets of several sizes at once: the largest that was answered (0: none was), and what came back first.

    The largest of ``sizes`` comes first; none larger is sent.
    """
    first, *rest = sizes
    left = [first, *(size for size in rest if size < first)]
    question = Question(own, case.target, packets.ICMP, secrets.randbits(16))
    passed: dict[int, Heard] = {}

    def take(packet: bytes, sender: bytes) -> bool | None:
        reply = packets.reply_to(question, packet)
        if reply is None:
            return None
        if reply.answer is not Answer.ACCEPTED:
            passed.setdefault(0, _said(reply, sender, case.hardware))
        elif reply.sequence < len(left):
            passed.setdefault(left[reply.sequence], _said(reply, sender, case.hardware))
        return True if first in passed else None

    with wires.listening(own, 0) as wire:
        for _ in range(PINGS):
            for number, size in enumerate(left):
                if size not in passed:
                    _sent_if_it_fits(case.send, packets.echo(question, number, size))
            if wires.first(wire, take, LIMIT_S):
                break
    best = max(passed, default=0)
    return best, passed[best] if passed else Heard(Answer.SILENCE)


def _sent_if_it_fits(send: Send, packet: bytes) -> None:
    """A way that is known to be narrower than its interface is seen by the answers that stay away."""
    try:
        send(packet)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
