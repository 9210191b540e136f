"""Debian's keepalived is the judge of what is exported for it: ``keepalived -t`` accepts every file without a word."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from app.lvscf import Config, HostDevice, load
from app.lvscf.foreign import Node, export_keepalived
from tests.unit.lvscf.foreign_strategies import for_keepalived

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = (*sorted(CORPUS.glob("*.cf")), *sorted((CORPUS / "foreign").glob("*.lvs")))
INTERFACES = sorted((name for _index, name in socket.if_nameindex() if name != "lo"), key=lambda name: name != "eth0")
PROGRAM = shutil.which("keepalived", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
pytestmark = [
    pytest.mark.skipif(PROGRAM is None and not os.environ.get("CI"), reason="keepalived is not installed"),
    pytest.mark.skipif(not INTERFACES, reason="keepalived takes no loopback interface, and there is no other"),
]


def here(config: Config) -> Config:
    """The same on an interface of this host: keepalived looks whether they are there."""
    number, device = 0, INTERFACES[0]

    def placed(place: HostDevice | None) -> HostDevice | None:
        nonlocal number
        number += 1
        return place and HostDevice(place.host, f"{device}:{number}" if ":" in place.device else device)

    router = config.globals.nat_router
    globals_ = replace(config.globals, nat_router=placed(router), syncd_iface=device, active_cmd=None, inactive_cmd=None)
    return replace(config, globals=globals_, virtual=tuple(replace(one, address=placed(one.address)) for one in config.virtual))


def judged(text: str, folder: Path) -> tuple[int, str]:
    """What keepalived says of a file."""
    path = folder / "keepalived.conf"
    path.write_text(text)
    assert PROGRAM
    done = subprocess.run([PROGRAM, "-t", "-f", str(path)], capture_output=True, text=True, check=False, start_new_session=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("node", ["primary", "backup"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keepalived_accepts_what_the_corpus_becomes(path: Path, node: Node, tmp_path: Path) -> None:
    config = load(path.read_bytes().decode("utf-8", "surrogateescape")).config
    assert judged(export_keepalived(here(config), node).text, tmp_path) == (0, "")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=for_keepalived())
def test_keepalived_accepts_whatever_it_has_words_for(tmp_path: Path, config: Config) -> None:
    assert judged(export_keepalived(here(config)).text, tmp_path) == (0, "")


def test_the_judge_refuses_what_is_wrong(tmp_path: Path) -> None:
    code, words = judged("virtual_server 192.0.2.1 80 {\n  nonsense\n}\n", tmp_path)
    assert code != 0
    assert "nonsense" in words
