"""lvsctl against a real agent (userspace data plane), and without one: what it prints, for people and for programs, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvsagent import ctl_text
from lvsagent.client import AgentRefused
from lvsagent.ctl import caller
from lvsagent.wire import TrialRequest
from tests.stack import Stack, running_stack
from tests.waiting import until

BIN = Path(sys.executable).parent
LVS_CF = """\
# the shop
serial_no = 7
primary = 127.0.0.1
service = lvs
network = nat
virtual http {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
     scheduler = rr
     timeout = 1
     reentry = 1
     server number1 {
         address = 127.0.0.21
         port = 8997
         active = 1
     }
     server number2 {
         address = 127.0.0.22
         port = 8997
         active = 0
     }
}
virtual "caf\udce9 \x1b[31m" {
     active = 0
     address = 127.0.0.101 lo:2
     port = 81
}
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(LVS_CF.replace("\x1b[31m", "red"), console=False) as found:
        until(lambda: found.agent_client.checks().checks and found.agent_client.state().role.role == "active", 15)
        yield found


@pytest.fixture
def ctl(stack: Stack) -> Ctl:
    return Ctl(stack.folder.runtime / "agent.sock")


class Ctl:
    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def __call__(self, *words: str, status: int = 0, data: bytes = b"") -> str:
        argv = [str(BIN / "lvsctl"), "--socket", str(self.socket), *words]
        done = subprocess.run(argv, capture_output=True, input=data, check=False, timeout=30, env=os.environ | {"LC_ALL": "C"})
        assert done.returncode == status, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        self.error = done.stderr.decode("utf-8", "surrogateescape")
        return done.stdout.decode("utf-8", "surrogateescape")

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self(*words, "--json", status=status))


def test_status_has_the_fixed_shape(ctl: Ctl) -> None:
    found = ctl.json("status")
    assert {"node", "role", "serial", "processes", "virtual_servers", "peer"} <= found.keys()
    assert (found["node"], found["role"], found["peer"]) == ("primary", "active", None)
    assert found["serial"] >= 7
    assert {each["name"] for each in found["processes"]} == {"supervisor", "lvsd", "pulse", "nanny"}
    http = found["virtual_servers"][0]
    assert (http["name"], http["state"]) == ("http", "down")
    number1, number2 = http["real_servers"]
    assert {key: number1[key] for key in ("name", "address", "port", "state", "weight")} == {
        "name": "number1",
        "address": "127.0.0.21",
        "port": 8997,
        "state": "down",
        "weight": number1["weight"],
    }
    assert number2["state"] == "inactive"


def test_server_drains_and_status_says_so_until_it_is_taken_back(ctl: Ctl) -> None:
    me = caller(os.getuid(), os.environ)
    printed = ctl("server", "drain", "http/number1", "--for", "1h", "--then", "cut", "--return-in", "2h", "--reason", "new disk")
    head, row = printed.splitlines()
    assert head.split() == ["TARGET", "WHAT", "PHASE", "SINCE", "WHO", "AND", "WHY"]
    assert row.startswith("http/number1  drain  draining  ")
    assert f"drained by {me}: new disk; 0 connections left; at " in row
    assert " it is cut; returns at " in row
    number1 = ctl.json("status")["virtual_servers"][0]["real_servers"][0]
    assert number1["state"] in {"draining", "drained"}
    assert (number1["order"]["actor"], number1["order"]["then"]) == (me, "cut")
    assert "its check: down; connection refused" in ctl("status")
    assert "\nby hand: 1 decided by operators, see lvsctl server list\n" in ctl("status")
    assert "an operator's decision goes before: drained by" in ctl("explain", "number1")
    assert ctl.json("server", "auto", "number1") == {"overrides": [], "warnings": []}
    assert ctl.json("status")["virtual_servers"][0]["real_servers"][0]["order"] is None
    ctl("server", "drain", "nobody", status=1)
    assert "there is no real server nobody" in ctl.error
    ctl("server", "explode", "number1", status=2)


def test_status_for_people_is_aligned_and_says_the_reason(ctl: Ctl) -> None:
    text = ctl("status")
    assert "primary, active" in text
    head, *rows = text[text.index("NAME ") :].splitlines()
    assert rows[0].startswith("http ")
    assert rows[1][head.index("STATE") :].startswith("down")
    assert "connection refused" in rows[1]


def test_status_of_one_virtual_server(ctl: Ctl) -> None:
    assert [each["name"] for each in ctl.json("status", "http")["virtual_servers"]] == ["http"]
    ctl("status", "nobody", status=1)


def test_names_that_are_not_text_are_shown_and_not_obeyed(ctl: Ctl) -> None:
    text = ctl("status")
    assert "\x1b" not in text
    assert "caf" in text


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x9b31m", "a\nb", "a\rb", "\u202eabc", "\udcff", "\0"])
def test_nothing_that_drives_a_terminal_is_printed(hostile: str) -> None:
    line = ctl_text.table(("NAME", "REST"), [(hostile, "x")]).splitlines()[1]
    assert line.isprintable()
    assert not ctl_text.safe(hostile).count(hostile)


def test_events_and_checks(ctl: Ctl) -> None:
    events = ctl.json("events", "--limit", "3")["events"]
    assert len(events) == 3
    assert {"id", "at", "kind", "severity", "message"} <= events[0].keys()
    assert "WHAT HAPPENED" in ctl("events")
    (check,) = ctl.json("checks")["checks"]
    assert (check["key"], check["state"]) == ("http/number1", "down")
    assert "127.0.0.21:8997" in ctl("checks", "http")


def test_explain_tells_why_a_server_is_out(ctl: Ctl, stack: Stack) -> None:
    until(lambda: stack.agent_client.explain("http/number1").results, 15)
    for name in ("http/number1", "number1", "127.0.0.21"):
        words = ctl("explain", name)
        assert words.startswith("http/number1 (127.0.0.21:8997): down since ")
        assert "connection refused" in words
    (found,) = ctl.json("explain", "number1")["checks"]
    assert (found["check"]["key"], found["results"][0]["ok"]) == ("http/number1", False)
    ctl("explain", "nobody", status=1)


def test_test_now_tries_the_kind_as_typed(stack: Stack) -> None:
    agent = stack.agent_client

    def trial(**changes: str) -> Any:
        request = TrialRequest(
            etag=agent.config().etag, virtual="http", send=None, expect=None, use_regex=False, send_program=None, changes=changes
        )
        return agent.trial(request).results[0]

    assert trial(check="http", check_path="/health").what == "asks for http://127.0.0.21:8997/health, expects status 200-399"
    assert trial(check="dns", check_host="www.example.com", check_record="MX").what == "asks for www.example.com MX over tcp"
    assert trial(check="dns", check_host="").reason == "there is nothing to check"
    for changes in ({"check_path": "no slash"}, {"check": "telnet"}, {"scheduler": "rr"}, {"nonsense": "1"}):
        with pytest.raises(AgentRefused) as refused:
            trial(**changes)
        assert refused.value.code == "bad_request"


def test_config_is_the_file_to_the_byte(ctl: Ctl, stack: Stack) -> None:
    assert ctl("config").encode("utf-8", "surrogateescape") == stack.folder.lvs_cf.read_bytes()
    found = ctl.json("config")
    assert (found["etag"], found["exists"]) == (stack.agent_client.config().etag, True)


def test_the_table_is_ipvsadms(ctl: Ctl) -> None:
    assert ctl("table").startswith("IP Virtual Server version")
    assert ctl("table", "--rules").startswith("-A -t 127.0.0.100:")
    assert ctl.json("table")["table"] == ctl("table")


def test_plan_shows_and_apply_does(ctl: Ctl, stack: Stack, tmp_path: Path) -> None:
    before = stack.folder.lvs_cf.read_bytes()
    new = tmp_path / "new.cf"
    new.write_bytes(before.replace(b"active = 0\n     }", b"active = 1\n     }").replace(b"serial_no = 7", b"serial_no = 8"))
    steps = ctl.json("plan", str(new))
    assert (steps["dry_run"], steps["written"]) == (True, False)
    assert any("number2" in step["name"] for step in steps["steps"])
    assert "number2" in ctl("plan", str(new))
    assert stack.folder.lvs_cf.read_bytes() == before
    assert "written, applied, serial 8, revision 2" in ctl("apply", str(new), "--comment", "number2 joins")
    assert stack.folder.lvs_cf.read_bytes() == new.read_bytes()
    assert ctl("config", "--previous").encode("utf-8", "surrogateescape") == before
    assert "nothing changes" in ctl("plan", str(new))
    assert ctl("apply", "-", data=before).endswith("written, applied, serial 7, revision 3\n")


def test_history_show_diff_and_rollback(ctl: Ctl, stack: Stack, tmp_path: Path) -> None:
    base = ctl.json("history", "--limit", "1")["revisions"][0]
    before = stack.folder.lvs_cf.read_bytes()
    heavier = before.replace(b"active = 1\n     }", b"active = 1\n         weight = 4\n     }").replace(b"serial_no = 7", b"serial_no = 8")
    assert ctl("apply", "-", "--comment", "heavier \x1b[31m", data=heavier).endswith(f"revision {base['number'] + 1}\n")
    number = base["number"] + 1

    listed = ctl("history").splitlines()
    assert listed[0].split() == ["NUMBER", "SERIAL", "AT", "WHO", "HOW", "OUTCOME", "WHAT"]
    assert listed[1].split()[0] == str(number)
    assert listed[1].endswith("lvsctl  applied  heavier \\x1b[31m")
    assert "start" in listed[-1]
    assert f"and {base['number']} more" in ctl("history", "--limit", "1")

    shown = ctl("show", str(number))
    assert f"made from:  {base['id']}" in shown
    assert "  real server number1 of http: weight 1 → 4" in shown
    assert ctl("show", str(number), "--text").encode("utf-8", "surrogateescape") == heavier
    assert (ctl.json("show", str(number))["text"], ctl.json("show", str(number))["comment"]) == (
        heavier.decode("utf-8", "surrogateescape"),
        "heavier \x1b[31m",
    )

    words, text = ctl("diff", str(base["number"])).split("\n\n")
    assert words.splitlines() == ["serial_no 7 → 8", "real server number1 of http: weight 1 → 4"]
    assert text.startswith(f"--- revision {base['number']}\n+++ lvs.cf\n@@ ")
    assert "+         weight = 4\n" in text
    assert ctl("diff", str(base["number"]), str(number), "--words") == words + "\n"
    assert ctl("diff", str(number), str(base["number"]), "--text").count("\n-         weight = 4\n") == 1
    assert ctl.json("diff", str(base["number"]))["changes"] == words.splitlines()
    assert ctl("diff", str(number), "--words") == "nothing that matters to the daemons\n"

    told = ctl("rollback", str(base["number"]))
    assert told.endswith(f"written, applied, serial 9, revision {number + 1}\n")
    assert stack.folder.lvs_cf.read_bytes() == before.replace(b"serial_no = 7", b"serial_no = 9")
    newest = ctl.json("history", "--limit", "1")["revisions"][0]
    assert (newest["origin"], newest["comment"]) == ("rollback", f"back to revision {base['number']}")
    assert ctl.json("rollback", str(number), "--comment", "after all")["serial"] == 10
    assert ctl("apply", "-", data=before).endswith(f"serial 7, revision {number + 3}\n")


def test_a_revision_that_is_not_there_is_said(ctl: Ctl) -> None:
    for words in (("show", "9999"), ("diff", "9999"), ("diff", "1", "9999"), ("rollback", "9999")):
        ctl(*words, status=1)
        assert "there is no revision 9999" in ctl.error
    for wrong in ("0", "-1", "two", "9" * 30):
        ctl("show", wrong, status=2)


def test_an_lvs_cf_with_errors_is_refused_with_every_line(ctl: Ctl, stack: Stack, tmp_path: Path) -> None:
    before = stack.folder.lvs_cf.read_bytes()
    bad = tmp_path / "bad.cf"
    bad.write_bytes(before + b"virtul x {\n")
    assert ctl("apply", str(bad), status=1) == ""
    assert "line 30: error: " in ctl.error
    found = ctl.json("apply", str(bad), status=1)["error"]
    assert found["code"] == "invalid"
    assert (30, "error") in {(each["line"], each["severity"]) for each in found["diagnostics"]}
    assert stack.folder.lvs_cf.read_bytes() == before


def test_a_stale_apply_is_refused(ctl: Ctl, stack: Stack) -> None:
    assert ctl.json("apply", str(stack.folder.lvs_cf), "--if-match", "0" * 64, status=1)["error"]["code"] == "stale"


def test_announce_and_reload(ctl: Ctl) -> None:
    assert "announced again" in ctl("announce")
    assert "being read again" in ctl("reload")


def test_a_reader_that_has_seen_enough_is_no_error(ctl: Ctl) -> None:
    argv = [str(BIN / "lvsctl"), "--socket", str(ctl.socket), "table"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        assert running.wait(20) == 0
        assert running.stderr.read() == b""


@pytest.mark.parametrize(
    "words", [["status"], ["events"], ["checks"], ["config"], ["table"], ["announce"], ["reload"], ["plan", "/dev/null"]]
)
def test_without_an_agent_the_exit_status_is_3(tmp_path: Path, words: list[str]) -> None:
    ctl = Ctl(tmp_path / "agent.sock")
    assert ctl(*words, status=3) == ""
    assert "is lvsagent running?" in ctl.error


def test_without_an_agent_programs_are_told_as_json(tmp_path: Path) -> None:
    assert Ctl(tmp_path / "agent.sock").json("status", status=3)["error"]["code"] == "down"


def test_a_file_that_is_not_there_is_said(ctl: Ctl, tmp_path: Path) -> None:
    ctl("plan", str(tmp_path / "none.cf"), status=1)
    assert "none.cf: No such file" in ctl.error


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["plan"], ["events", "--limit", "many"]])
def test_wrong_arguments_are_exit_status_2(tmp_path: Path, words: list[str]) -> None:
    Ctl(tmp_path / "agent.sock")(*words, status=2)


def test_check_needs_no_agent(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.cf", tmp_path / "bad.cf"
    good.write_text(LVS_CF[: LVS_CF.index("virtual")])
    bad.write_text("primary 5\n")
    ctl = Ctl(tmp_path / "agent.sock")
    assert json.loads(ctl("check", "--json", str(good)))["ok"] is True
    lines = [json.loads(line) for line in ctl("check", "--json", str(good), str(bad), status=1).splitlines()]
    assert [(line["file"], line["ok"]) for line in lines] == [(str(good), True), (str(bad), False)]


def test_it_starts_without_what_it_does_not_need() -> None:
    heavy = ["asyncio", "aiohttp", "flask", "pyroute2", "cryptography"]
    program = f"import sys, lvsagent.ctl; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- safe changes ------------------------------------------------------------------------------------------------------------------


def wider(stack: Stack) -> bytes:
    """lvs.cf with number2 in service, as the next serial."""
    text = stack.folder.lvs_cf.read_bytes()
    return text.replace(b"active = 0\n     }", b"active = 1\n     }").replace(b"serial_no = 7", b"serial_no = 8")


def test_apply_is_held_to_the_plan_that_was_shown(ctl: Ctl, stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_bytes()
    lighter = before.replace(b"scheduler = rr", b"scheduler = wlc")
    shown = ctl("plan", "-", data=lighter).splitlines()[-1].removeprefix("plan ")
    assert json.loads(ctl("plan", "-", "--json", data=lighter))["plan"] == shown
    other = lighter.replace(b"     port = 80\n", b"     port = 82\n")
    assert json.loads(ctl("apply", "-", "--plan", shown, "--json", data=other, status=1))["error"]["code"] == "grown"
    assert "the plan has grown since it was shown, by " in ctl.error
    assert stack.folder.lvs_cf.read_bytes() == before
    assert "written, applied" in ctl("apply", "-", "--plan", shown, data=lighter)
    ctl("apply", "-", data=before)


def test_what_a_large_change_takes_out_is_named_before_it_is_done(ctl: Ctl, stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_bytes()
    ctl("apply", "-", data=wider(stack))
    empty = b"serial_no = 9\nprimary = 127.0.0.1\n"
    names = "takes out of service 1 of 1 virtual servers:\n  virtual server http\ntakes out of service 2 of 2 real servers:\n"
    assert names in ctl("plan", "-", data=empty)
    assert json.loads(ctl("apply", "-", "--json", data=empty, status=1))["error"]["code"] == "unconfirmed"
    assert ctl.error.startswith(
        names + "  real server number1 of http\n  real server number2 of http\nlvsctl: if that is meant, say --yes-take-out\n"
    )
    assert stack.folder.lvs_cf.read_bytes() != empty
    assert "written, applied, serial 9" in ctl("apply", "-", "--yes-take-out", data=empty)
    assert ctl.error.startswith(names)
    ctl("apply", "-", data=before)


def test_a_guarded_apply_is_counted_down_confirmed_and_had_back(ctl: Ctl, stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_bytes()
    assert "written, applied, serial 8" in ctl("apply", "-", "--guard", "60", data=wider(stack))
    assert "guarded change, serial 8: goes back to serial 7 in " in ctl("status")
    assert ctl.json("status")["guard"]["state"] == "watching"
    assert "unless confirmed (lvsctl guard confirm)" in ctl("guard", "status")
    assert "went back: " in ctl("guard", "revert")
    assert stack.folder.lvs_cf.read_bytes() == before.replace(b"serial_no = 7", b"serial_no = 9")
    assert "went back: " in ctl("guard", "status", status=1)
    ctl("guard", "confirm", status=1)
    assert "no such change is being watched" in ctl.error
    ctl("apply", "-", "--guard", "60", data=before)
    assert ctl.json("guard", "confirm")["state"] == "confirmed"
    assert stack.folder.lvs_cf.read_bytes() == before


@pytest.mark.parametrize("seconds", ["0.5", "4000"])
def test_a_guard_has_limits(ctl: Ctl, stack: Stack, seconds: str) -> None:
    ctl("apply", "-", "--guard", seconds, data=wider(stack), status=1)
    assert "guard is 1 to 3600 seconds" in ctl.error
