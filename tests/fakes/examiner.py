"""An examiner that sees what a test says is so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from app.lvscf.model import Forwarding
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Patient, Seen
from lvsagent.ports import AdapterError


def well(patient: Patient) -> Seen:
    """What is seen of a real server that lacks nothing."""
    source = patient.address if patient.forwarding is Forwarding.NAT else patient.vip
    heard = Heard(Answer.ACCEPTED, source)
    room = 1500 - {Forwarding.TUNNEL: 40 if patient.six else 20}.get(patient.forwarding, 0)
    return Seen(service=heard, ping=heard, mtu=1500, room=room, passes=room, director="10.11.12.11")


class FakeExaminer:
    """The port ``Examiner``.

    ``sights``: what is seen of the real server of that name (else nothing is missing); ``refusal``: why nobody can be looked at;
    ``held``: it waits for ``go`` before the last one.
    """

    def __init__(self) -> None:
        self.sights: dict[str, Seen] = {}
        self.refusal = ""
        self.held = False
        self.go = asyncio.Event()
        self.closed = False
        self.asked: list[Patient] = []

    async def examine(self, patients: Sequence[Patient], seen: Callable[[int, Seen], None]) -> None:
        if self.refusal or self.closed:
            raise AdapterError(self.refusal or "it is closed")
        self.asked = list(patients)
        for place, patient in enumerate(patients):
            if self.held and place == len(patients) - 1:
                await self.go.wait()
            seen(place, self.sights.get(patient.name, well(patient)))

    def close(self) -> None:
        self.closed = True
