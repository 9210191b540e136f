"""``lvsctl check``: the report for people and for programs, and its exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from app.lvscf import BY_LEVEL, Level
from lvsagent.check_report import run_check

GOOD = """\
primary = 192.0.2.11
backup = 10.2
nat_router = 10.11.12.1 eth0:1
virtual http {
  active = 1
  address = 192.0.2.100 eth1:1
  port = 8080
  server one {
    address = 10.11.12.21
    active = 1
  }
}
failover ftp {
}
"""


def check(*files: Path | str, as_json: bool = False, colour: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return run_check([str(file) for file in files], as_json=as_json, colour=colour, out=out), out.getvalue()


def report(*files: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check(*files, as_json=True)[1])
    return found


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.cf"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.cf"
    path.write_bytes(b"\xef\xbb\xbfkeepalive = 6 7\r\nvirtual caf\xe9 {\n\tport = 70000\n}\n")
    return path


def test_a_good_file_is_ok(good: Path) -> None:
    assert check(good) == (0, f"{good}: ok (1 virtual server, 1 real server, 1 failover service)\n")
    found = report(good)
    assert (found["ok"], found["diagnostics"]) == (True, [])
    assert "file" not in found


def test_every_keyword_has_its_value_or_its_default(good: Path) -> None:
    config = report(good)["config"]
    assert config.keys() == {"global", "virtual", "failover"}
    assert config["global"].keys() == BY_LEVEL[Level.GLOBAL].keys()
    assert config["virtual"][0].keys() == BY_LEVEL[Level.BLOCK].keys() | {"name", "servers"}
    assert config["virtual"][0]["servers"][0].keys() == BY_LEVEL[Level.SERVER].keys() | {"name"}
    assert config["failover"][0].keys() == BY_LEVEL[Level.BLOCK].keys() | {"name"}
    assert config["global"]["service"] == "lvs"
    assert config["global"]["active_cmd"] is None
    assert config["global"]["nat_router"] == "10.11.12.1 eth0:1"
    assert config["virtual"][0]["address"] == "192.0.2.100 eth1:1"
    assert config["virtual"][0]["send"] is None
    assert config["failover"][0]["address"] == "0.0.0.0"


def test_what_is_in_force_is_shown(good: Path) -> None:
    config = report(good)["config"]
    assert config["virtual"][0]["servers"][0]["port"] == 8080
    assert config["global"]["primary_private"] == "192.0.2.11"
    assert config["global"]["backup_private"] == "10.0.0.2"
    good.write_text(GOOD + "backup_private = 10.9\n")
    assert report(good)["config"]["global"]["backup_private"] == "10.0.0.2"
    good.write_text(GOOD + "backup_private = 10.9\nprimary_private = 10.8\n")
    assert report(good)["config"]["global"]["backup_private"] == "10.0.0.9"
    good.write_text(GOOD + "primary_private = 10.8\n")
    assert report(good)["config"]["global"]["backup_private"] == "10.0.0.2"


def test_a_bad_file_has_its_lines_and_status_1(bad: Path) -> None:
    status, text = check(bad, as_json=True)
    found = json.loads(text)
    assert status == 1
    assert found["ok"] is False
    errors = [(item["line"], item["code"]) for item in found["diagnostics"] if item["severity"] == "error"]
    assert errors == [(1, "surplus-text"), (3, "out-of-range")]
    assert all(item.keys() == {"severity", "code", "line", "message"} for item in found["diagnostics"])


def test_the_text_shows_the_line_and_points_at_the_word(bad: Path) -> None:
    status, text = check(bad)
    lines = text.split("\n")
    assert status == 1
    at = next(index for index, line in enumerate(lines) if "[surplus-text]" in line)
    assert lines[at].startswith(f"{bad}:1: error: ")
    assert lines[at + 1] == "     1 | keepalive = 6 7"
    assert lines[at + 2] == "       |               ^"
    at = next(index for index, line in enumerate(lines) if "[out-of-range]" in line)
    assert lines[at + 1 : at + 3] == ["     3 |  port = 70000", "       |         ^~~~~"]
    assert "caf\\xe9" in text
    assert "\x1b" not in text


def test_colour_is_for_terminals(bad: Path) -> None:
    assert "\x1b[31merror\x1b[0m" in check(bad, colour=True)[1]


def test_text_of_a_file_cannot_command_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.cf"
    path.write_bytes(b"virtual \x1b[2Jx {\n  port = 70000 \x1b[31m\n")
    assert "\x1b" not in check(path)[1]


def test_several_files_are_one_object_a_line_each_with_its_name(good: Path, bad: Path) -> None:
    status, text = check(good, bad, as_json=True)
    found = [json.loads(line) for line in text.splitlines()]
    assert status == 1
    assert [(item["file"], item["ok"]) for item in found] == [(str(good), True), (str(bad), False)]
    assert check(good, good)[0] == 0


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, good: Path) -> None:
    status, text = check(tmp_path / "absent", good, as_json=True)
    first = json.loads(text.splitlines()[0])
    assert status == 1
    assert first["diagnostics"][0]["code"] == "unreadable-file"
    assert "No such file" in first["diagnostics"][0]["message"]
    assert check(tmp_path)[0] == 1
    assert check("a\0b")[0] == 1


def test_a_long_line_is_cut_around_the_place(tmp_path: Path) -> None:
    path = tmp_path / "long.cf"
    path.write_text("debug_level = " + "x" * 500 + " surplus\n")
    lines = check(path)[1].split("\n")
    at = next(index for index, line in enumerate(lines) if "[surplus-text]" in line)
    assert len(lines[at + 1]) < 200
    column = lines[at + 2].index("^")
    assert lines[at + 1][column : column + 7] == "surplus"
