"""What the parsers make of uptime, rup and ruptime: real output in tests/corpus/load, and anything else that a host may say."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsagent.core.load_text import LONGEST_LINE, MOST_CHARACTERS, LoadUnreadable, Monitor, excerpt, load_of

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "load"
FUZZ = settings(max_examples=400, deadline=None)


def sample(name: str) -> str:
    return (CORPUS / name).read_text()


UPTIMES = [line.split("|", 1) for line in sample("uptime.txt").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("load", "line"), UPTIMES)
def test_every_systems_uptime(load: str, line: str) -> None:
    assert load_of(Monitor.UPTIME, f"{line}\n", "192.0.2.7") == float(load)


def test_this_machines_uptime() -> None:
    program = shutil.which("uptime")
    assert program
    said = subprocess.run([program], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    assert load_of(Monitor.UPTIME, said, "localhost") == float(said.rpartition("average: ")[2].split(",")[0])


def test_what_a_host_says_before_its_uptime_is_passed_over() -> None:
    greeting = "Welcome to web1\nMaintenance tonight, expect a load average: 9.00, 9.00, 9.00\n"
    assert load_of(Monitor.UPTIME, f"{greeting} 18:01:35 up  3:33,  0 user,  load average: 0.69, 0.80, 1.06\n", "web1") == 0.69


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it said nothing"),
        ("\n \n", "it said nothing"),
        ("bash: uptime: command not found\n", "command not found"),
        ("18:01:35 up  3:33,  load average: 0.69, 0.80\n", "load average: 0.69, 0.80"),
        ("load average: nan, nan, nan\n", "nan"),
        ("load average: -1.00, 0.00, 0.00\n", "-1.00"),
        ("load average: 1e9, 0.00, 0.00\n", "1e9"),
        ("load average: 0.69, 0.80, 1.06 and more\n", "and more"),
        ("load average: 1234567.00, 0.80, 1.06\n", "1234567"),
        (f"{'x' * LONGEST_LINE} load average: 0.69, 0.80, 1.06\n", "there is no load"),
        (" " * MOST_CHARACTERS + "\nload average: 0.69, 0.80, 1.06\n", "there is no load"),
        ("\x1b[2J\x1b[31mload\n", "\\x1b[2J"),
    ],
)
def test_what_is_no_uptime_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(LoadUnreadable) as refused:
        load_of(Monitor.UPTIME, text, "web1")
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("name", "host", "load"),
    [
        ("rup-debian.txt", "127.0.0.1", 0.80),  # rup says the host's name, whatever it was asked by
        ("rup-debian-several.txt", "web1", 12.5),
        ("rup-debian-several.txt", "WEB5", 12.9),
        ("rup-bsd.txt", "192.0.2.7", 0.20),
        ("rup-bsd-several.txt", "otherhost", 0.20),
        ("rup-bsd-several.txt", "web1", 0.10),
    ],
)
def test_rup(name: str, host: str, load: float) -> None:
    assert load_of(Monitor.RUP, sample(name), host) == load


@pytest.mark.parametrize(
    ("name", "host", "words"),
    [
        ("rup-refused.txt", "web1", "rup: RPC: Port mapper failure"),
        ("rup-silent.txt", "web1", "rup: RPC: Success"),
        ("rup-unknown-host.txt", "nosuchhost.invalid", "cannot get hostname"),
        ("rup-debian-several.txt", "web9", "there is no load of web9"),
    ],
)
def test_rup_that_tells_nothing(name: str, host: str, words: str) -> None:
    with pytest.raises(LoadUnreadable, match=words):
        load_of(Monitor.RUP, sample(name), host)


@pytest.mark.parametrize(
    ("name", "host", "load"),
    [
        ("ruptime.txt", "web1", 0.12),
        ("ruptime.txt", "Web2.example.com", 3.2),
        ("ruptime.txt", "fresh", 0.0),
        ("ruptime.txt", "web9.example.org", 1.5),  # twelve characters of a name are all there is
        ("ruptime.txt", "web-frontend-07", 1.5),
        ("ruptime.txt", "db-long-name.example.org", 132.41),
        ("ruptime-tru64.txt", "host4", 0.01),
    ],
)
def test_ruptime(name: str, host: str, load: float) -> None:
    assert load_of(Monitor.RUPTIME, sample(name), host) == load


@pytest.mark.parametrize(
    ("text", "host", "words"),
    [
        (sample("ruptime.txt"), "web3", "ruptime has heard nothing of web3 for 1\\+02:03"),
        (sample("ruptime.txt"), "number1", "ruptime knows no host number1: it knows abc.de, db-long-name"),
        (sample("ruptime-nobody.txt"), "web1", "no hosts in /var/spool/rwho"),
        ("web1 up 1:00, 0 users, load\n", "web1", "tells no load of web1"),
        (2 * "web-frontend up 1:00, 0 users, load 1.00, 1.00, 1.00\n", "web-frontend-07", "more than once: it cuts names to 12"),
    ],
)
def test_ruptime_that_tells_nothing(text: str, host: str, words: str) -> None:
    with pytest.raises(LoadUnreadable, match=words):
        load_of(Monitor.RUPTIME, text, host)


def test_of_ruptimes_table_the_hosts_own_line_is_what_came_back() -> None:
    table = sample("ruptime.txt")
    assert excerpt(Monitor.RUPTIME, table, "web2.example.com") == "web2          up       5:15,     1 user,   load  3.20,  2.90,  1.07"
    assert excerpt(Monitor.RUPTIME, table, "number1") == table
    assert excerpt(Monitor.UPTIME, table, "web2") == table


SAMPLES = [path.read_text() for path in sorted(CORPUS.glob("*.txt"))]
NEARLY = st.sampled_from(SAMPLES).flatmap(
    lambda text: st.tuples(st.integers(0, len(text)), st.integers(0, 12), st.text(max_size=12)).map(
        lambda cut: text[: cut[0]] + cut[2] + text[cut[0] + cut[1] :]
    )
)
NASTY = ["load ", "load average: 1.0, 2.0, ", "1" * 500 + " ", "load" + " " * 500, "a" * 500 + " up ", "\x00", "load average: 9,9,9,9,9"]


@pytest.mark.parametrize("part", NASTY)
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("monitor", list(Monitor))
def test_no_answer_takes_long_to_read(monitor: Monitor, part: str, end: str) -> None:
    answer = (part + end) * (MOST_CHARACTERS // len(part + end))
    began = process_time()
    with pytest.raises(LoadUnreadable):
        load_of(monitor, answer, "web1")
    assert process_time() - began < 0.5


NAMED = st.sampled_from(["web1", "web3", "fresh", "abc.de", "host4", "\x1b[2J", "localhost"])
LOOKS_LIKE = st.lists(
    st.sampled_from(
        [
            "load",
            " average:",
            "averages: ",
            "1.5",
            "0,69",
            ", ",
            " ",
            "\n",
            "web1",
            "\x1b[2J",
            " up ",
            " down ",
            "9" * 400,
            "İ",
            "\x00",
            "\x85",
        ]
    )
).map("".join)


@FUZZ
@given(monitor=st.sampled_from(list(Monitor)), text=st.one_of(st.text(), NEARLY, LOOKS_LIKE), host=st.one_of(st.text(max_size=80), NAMED))
def test_whatever_comes_is_a_load_or_refused(monitor: Monitor, text: str, host: str) -> None:
    words, load = "", 0.0
    try:
        assert excerpt(monitor, text, host) in text
        load = load_of(monitor, text, host)
    except LoadUnreadable as refused:
        words = str(refused)
    assert math.isfinite(load)
    assert load >= 0
    assert words.isprintable()
    assert len(words) < 500
