"""lvsctl doctor: look at the real servers of direct routing and tunnels, and say what to do there.

It looks itself, as root: the agent's processes hold no privilege for it.  lvs.cf is the agent's.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.lvscf import load
from lvsagent.adapters.doctor_probe import look
from lvsagent.client import AgentClient
from lvsagent.core.doctor import Advice, Patient, advise, patients
from lvsagent.core.expansion import expand
from lvsagent.ctl_text import safe
from lvsagent.ports import AdapterError

OK, FAILED = 0, 1
AT_ONCE = 16
NOBODY = (
    "There is nobody to look at: no such real server has direct routing or a tunnel (IPv4). NAT needs nothing there but the route back.\n"
)


def doctor(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Exit status 1 when something is missing somewhere."""
    config = load(agent.config().text).config
    everyone = patients(expand(config, lambda _name: None), {place: virtual.port for place, virtual in enumerate(config.virtual)})
    found = [one for one in everyone if arguments.virtual in {"", one.virtual, one.name}]
    try:
        with ThreadPoolExecutor(AT_ONCE) as looking:
            examined = list(zip(found, looking.map(_examined, found), strict=True))
    except AdapterError as error:
        sys.stderr.write(f"lvsctl: {error}\n")
        return FAILED
    if arguments.json:
        sys.stdout.write(json.dumps([_as_json(patient, findings) for patient, findings in examined], indent=2) + "\n")
    else:
        sys.stdout.write("".join(_text(patient, findings) for patient, findings in examined) or NOBODY)
    return FAILED if any(one.wrong for _patient, findings in examined for one in findings) else OK


def _examined(patient: Patient) -> list[Advice]:
    return advise(patient, look(patient))


def _text(patient: Patient, findings: list[Advice]) -> str:
    name = safe(patient.name)
    verdict = "" if findings else " all that can be seen is in order"
    lines = [f"{name} of {safe(patient.virtual)} ({patient.address}, {patient.forwarding}):{verdict}"]
    for one in findings:
        lines.append(f"  {one.words}")
        if one.commands:
            lines.append(f"  {'Run' if one.wrong else 'If that happens, run'} on {name}:")
            lines += [f"    {command}" for command in one.commands]
    return "\n".join([*lines, ""])


def _as_json(patient: Patient, findings: list[Advice]) -> dict[str, Any]:
    return {
        "virtual": patient.virtual,
        "server": patient.name,
        "address": patient.address,
        "forwarding": patient.forwarding.value,
        "findings": [{"words": one.words, "commands": list(one.commands), "wrong": one.wrong} for one in findings],
    }


HANDLERS = {"doctor": doctor}
