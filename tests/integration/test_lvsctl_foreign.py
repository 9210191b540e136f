"""lvsctl import and export as programs: what goes to standard output and error, exit statuses, and an agent's own lvs.cf."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.lvscf import load
from tests.stack import Stack, running_stack

BIN = Path(sys.executable).parent
CORPUS = Path(__file__).parents[1] / "corpus" / "foreign"
GOOD = "virtual_server 192.0.2.1 80 {\n  delay_loop 6\n  lb_algo rr\n  lb_kind NAT\n  smtp_alert\n  real_server 10.0.0.1 80 {\n  }\n}\n"
LVS_CF = """\
serial_no = 7
primary = 127.0.0.1
virtual shop {
     active = 1
     address = 127.0.0.100 lo:1
     port = 8081
     scheduler = wrr
     server one {
         address = 127.0.0.21
         active = 1
         port = 8997
     }
}
"""


def lvsctl(*words: str, data: str = "", socket: str = "/nowhere/agent.sock") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(BIN / "lvsctl"), "--socket", socket, *words],
        capture_output=True,
        input=data.encode("utf-8", "surrogateescape"),
        check=False,
        timeout=30,
        env=os.environ | {"LC_ALL": "C"},
    )
    out, err = (stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr))
    assert "Traceback" not in err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def test_import_prints_an_lvs_cf_and_a_report_and_needs_no_agent() -> None:
    done = lvsctl("import", "-", data=GOOD)
    assert done.returncode == 0
    loaded = load(done.stdout)
    assert loaded.ok
    assert loaded.config.virtual[0].servers[0].address == "10.0.0.1"
    lines = done.stderr.splitlines()
    assert lines[0].split()[:2] == ["1", "became"]
    assert "scheduler = rr" in lines[2]
    assert lines[4].split()[:2] == ["5", "lost"]
    assert lines[-1].startswith("keepalived: ")
    assert lines[-1].endswith("nothing was accepted")


@pytest.mark.parametrize(
    ("name", "words", "status"),
    [
        ("ka-dr-backup.conf", [], 0),
        ("ld-sample.cf", ["--from", "ldirectord"], 0),
        ("ip-nat.rules", ["--device", "bond0"], 0),
        ("ld-broken.cf", [], 1),
        ("ka-unclosed.conf", [], 1),
    ],
)
def test_the_exit_status_says_whether_every_line_was_understood(name: str, words: list[str], status: int) -> None:
    done = lvsctl("import", str(CORPUS / name), *words)
    assert done.returncode == status
    assert load(done.stdout).ok
    assert ("bond0:1" in done.stdout) is ("bond0" in words)


def test_import_with_json_is_one_object() -> None:
    done = lvsctl("import", "--json", "-", data=GOOD)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["from"]) == (0, "", "keepalived")
    line = found["lines"][4]
    assert (line["number"], line["text"].strip(), line["verdict"]) == (5, "smtp_alert", "lost")
    assert line["words"] == "no mail is sent; the events tell what a mail would"
    assert found["counts"]["lost"] == 1
    assert load(found["text"]).ok
    assert found["diagnostics"] == []


def test_import_writes_to_a_file_when_told(tmp_path: Path) -> None:
    out = tmp_path / "lvs.cf"
    done = lvsctl("import", "-", "--out", str(out), data=GOOD)
    assert (done.returncode, done.stdout) == (0, "")
    assert load(out.read_text()).ok


@pytest.mark.parametrize(
    ("data", "words"),
    [("", "the file is empty"), ("a\0b", "NUL bytes"), ("# nothing", "say which it is"), ("\udcff\udcfe", "say which it is")],
)
def test_what_cannot_be_read_is_refused_in_words(data: str, words: str) -> None:
    done = lvsctl("import", "-", data=data)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    refused = lvsctl("import", "-", "--json", data=data)
    assert words in json.loads(refused.stdout)["error"]["message"]


def test_import_of_no_file_says_so() -> None:
    done = lvsctl("import", "/nowhere/keepalived.conf")
    assert done.returncode == 1
    assert done.stderr == "lvsctl: /nowhere/keepalived.conf: No such file or directory\n"


def test_what_is_hostile_does_not_drive_the_terminal() -> None:
    done = lvsctl("import", "-", data="virtual_server 192.0.2.1 80 {\n  \x1b[31m\udcff\n}\n")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "\x1b" not in done.stdout


def test_export_of_a_file_needs_no_agent(tmp_path: Path) -> None:
    path = tmp_path / "lvs.cf"
    path.write_text(LVS_CF)
    done = lvsctl("export", "--to", "ipvsadm", str(path))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["-A -t 127.0.0.100:8081 -s wrr", "-a -t 127.0.0.100:8081 -r 127.0.0.21:8997 -m -w 1"]
    assert "no counterpart: health checks" in done.stderr
    assert "priority 100" in lvsctl("export", "--to", "keepalived", "--node", "backup", str(path)).stdout
    found = json.loads(lvsctl("export", "--to", "ipvsadm", "--json", "-", data=LVS_CF).stdout)
    assert found["to"] == "ipvsadm"
    assert found["missing"]
    assert "-s wrr" in found["text"]


def test_export_of_an_lvs_cf_with_errors_is_refused() -> None:
    done = lvsctl("export", "--to", "keepalived", "-", data="virtual x {\n  port = many\n}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 2" in done.stderr


def test_export_without_a_file_needs_the_agent() -> None:
    assert lvsctl("export", "--to", "ipvsadm").returncode == 3


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(LVS_CF, console=False) as found:
        yield found


def test_export_without_a_file_is_what_the_agent_has(stack: Stack) -> None:
    done = lvsctl("export", "--to", "keepalived", socket=str(stack.folder.runtime / "agent.sock"))
    assert done.returncode == 0
    assert "virtual_server 127.0.0.100 8081 {" in done.stdout
    assert "snmp_name shop" in done.stdout
