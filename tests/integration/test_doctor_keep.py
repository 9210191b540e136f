"""What the doctor has an administrator keep on a real server, judged by the programs that will read it."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lvsagent.core.doctor import advise
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Patient
from tests.unit.lvsagent.test_doctor import DIRECT, DIRECT6, NAT, TUNNEL, TUNNEL6, held

SILENT = Heard(Answer.SILENCE)


def kept(patient: Patient, folder: Path) -> list[Path]:
    """The files that the commands write, in ``folder`` instead of /etc."""
    seen = held(patient, service=SILENT, ping=SILENT, passes=0, own=Heard(Answer.ACCEPTED, patient.address))
    written = []
    for command in advise(patient, seen)[0].keep:
        match shlex.split(command):
            case ["printf", "%s\\n", *lines, target]:
                path = folder / target.removeprefix(">/etc/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(f"{line}\n" for line in lines))
                written.append(path)
            case ["systemctl", "enable", unit]:
                assert unit in {path.name for path in written}
            case other:
                raise AssertionError(f"neither writes nor enables: {other}")
    return written


@pytest.mark.parametrize("patient", [DIRECT, DIRECT6, TUNNEL, TUNNEL6, NAT], ids=["direct", "direct6", "tunnel", "tunnel6", "nat"])
def test_systemd_finds_nothing_wrong_with_the_units(patient: Patient, tmp_path: Path) -> None:
    units = [path for path in kept(patient, tmp_path) if path.suffix == ".service"]
    assert len(units) == 1
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", "verify", "--man=no", str(units[0])], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_virtual_address_has_a_unit_of_its_own_and_the_settings_are_shared(tmp_path: Path) -> None:
    for vip in ("192.0.2.100", "192.0.2.101"):
        kept(replace(TUNNEL, vip=vip), tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file()) == [
        "modules-load.d/lvs-ipip.conf",
        "sysctl.d/90-lvs-arp.conf",
        "sysctl.d/90-lvs-tunnel.conf",
        "systemd/system/lvs-vip-192.0.2.100.service",
        "systemd/system/lvs-vip-192.0.2.101.service",
    ]
