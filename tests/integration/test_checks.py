"""Checks against real servers on loopback that misbehave in every way a server can, and programs that do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import select
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvsagent.adapters.checks import Checks, regex_worker
from lvsagent.adapters.checks.programs import ProgramRefusedError, permitted
from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from tests.misbehaving import Behaviour, drips, half_closes, resets, says, serving, stays, talks_forever


def spec(port: int, **changes: Any) -> CheckSpec:
    base = CheckSpec(
        "http/number1", "127.0.0.1", port, "tcp", Method.SEND_EXPECT, send=b"GET / HTTP/1.0\r\n\r\n", expect=b"HTTP", timeout_s=5
    )
    return replace(base, **changes)


@pytest.fixture
def checks() -> Iterator[Checks]:
    made = Checks()
    yield made
    made.close()


async def reads_the_request_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readuntil(b"\r\n\r\n") == b"GET / HTTP/1.0\r\n\r\n"
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n")


QUICK = {"timeout_s": 0.2}
REGEX = {"use_regex": True}


@pytest.mark.parametrize(
    ("behaviour", "changes", "reason"),
    [
        pytest.param(reads_the_request_first, {}, "", id="a good server"),
        pytest.param(says(b"H", b"T", b"T", b"P", then=stays), {}, "", id="the answer in single bytes"),
        pytest.param(says(b"HTTP"), {}, "", id="exactly what is expected, then the end"),
        pytest.param(says(b"HTTP", then=resets), {}, "", id="what is expected, then a reset"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n", then=stays), {}, "expected HTTP, got SSH-2.0-OpenSSH_9.2", id="another protocol"),
        pytest.param(says(b"\x00\xff\x1b[31mHTTP", then=stays), {}, r"expected HTTP, got \x00\xff\x1b[31mHTTP", id="garbage"),
        pytest.param(says(b"HT"), {}, "expected HTTP, got HT and the end", id="half an answer, then the end"),
        pytest.param(says(), {"send": b""}, "the connection was closed without an answer", id="closes at once"),
        pytest.param(half_closes, {}, "the connection was closed without an answer", id="half-closes"),
        pytest.param(resets, {}, "the connection was reset without an answer", id="resets"),
        pytest.param(says(b"HT", then=stays), QUICK, "expected HTTP, got HT within 0.2 s", id="half an answer, then silence"),
        pytest.param(stays, QUICK, "no answer within 0.2 s", id="silence"),
        pytest.param(drips, {**QUICK, "expect": b"H" * 200}, "got HHH", id="a byte now and then"),
        pytest.param(talks_forever, {}, "expected HTTP, got xxxx", id="talks forever, wrongly"),
        pytest.param(talks_forever, {"expect": b"xx*x"}, "", id="talks forever, rightly"),
        pytest.param(talks_forever, {**REGEX, "expect": b"y"}, "expected a match of y, got xxxx", id="talks forever, no match"),
        pytest.param(says(b"220 ready\r\n", then=stays), {"send": b"", "expect": b"2*0"}, "", id="only expects"),
        pytest.param(stays, {"expect": None}, "", id="only sends"),
        pytest.param(stays, {"expect": b""}, "", id="expects nothing at all"),
        pytest.param(stays, {"method": Method.CONNECT}, "", id="connects"),
        pytest.param(
            says(b"HTTP/1.1 ", b"302 Found\r\n", then=stays),
            {**REGEX, "expect": b"^HTTP/1\\.[01] (200|30[1-8]) "},
            "",
            id="a match in two segments",
        ),
        pytest.param(says(b"x" * 4000 + b"needle" + b"x" * 4000), {**REGEX, "expect": b"needle"}, "", id="a match in the first 4 KiB"),
        pytest.param(
            says(b"x" * 4096 + b"needle", then=stays),
            {**REGEX, "expect": b"needle"},
            "expected a match of needle, got xxx",
            id="a match too late",
        ),
        pytest.param(says(b"status: OK"), {**REGEX, "expect": b"OK$"}, "", id="the end of the answer"),
        pytest.param(
            says(b"status: OK", b", but not really"),
            {**REGEX, "expect": b"OK$"},
            "expected a match of OK$, got status",
            id="not the end of the answer",
        ),
        pytest.param(says(b"status: OK", then=stays), {**REGEX, **QUICK, "expect": b"OK$"}, "", id="the end of the time"),
        pytest.param(
            says(b"no", then=stays),
            {**REGEX, **QUICK, "expect": b"yes"},
            "expected a match of yes, got no within 0.2 s",
            id="no match and silence",
        ),
        pytest.param(
            says(), {**REGEX, "send": b"", "expect": b".*"}, "the connection was closed without an answer", id="anything is not nothing"
        ),
        pytest.param(says(b"a" * 4000 + b"!"), {**REGEX, "expect": b"^(a|aa)+\\1*$"}, "too slow", id="a pattern that explodes"),
        pytest.param(says(b"x"), {**REGEX, "expect": b"(a"}, 'the expect string is not a regular expression: "(" without', id="no pattern"),
    ],
)
async def test_a_server_is_judged_by_its_answer(checks: Checks, behaviour: Behaviour, changes: dict[str, Any], reason: str) -> None:
    async with serving(behaviour) as port:
        outcome = await checks.check(spec(port, **changes))
    assert outcome.ok == (reason == ""), outcome
    assert reason in outcome.reason
    assert outcome.duration_s < 2
    assert len(outcome.reply) <= 1024


async def test_a_match_in_the_second_segment_is_not_waited_for_until_the_limit(checks: Checks) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"almost ")
        await asyncio.sleep(0.01)
        writer.write(b"there")
        await stays(reader, writer)

    async with serving(behave) as port:
        outcome = await checks.check(spec(port, use_regex=True, expect=b"there"))
    assert outcome.ok
    assert outcome.duration_s < 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=12),
    st.sampled_from([b"ab", b"a*", b"[[:alpha:]]b?$", b"^b"]),
    st.booleans(),
    st.lists(st.integers(0, 12), max_size=4),
)
def test_any_segmentation_gives_the_same_verdict(answer: bytes, expect: bytes, use_regex: bool, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    segments = [answer[first:last] for first, last in itertools.pairwise(places)]

    async def verdicts() -> tuple[Outcome, Outcome]:
        checks = Checks()
        try:
            outcomes = []
            for parts in ([answer], segments):
                async with serving(says(*parts)) as port:
                    outcomes.append(await checks.check(spec(port, send=b"", expect=expect, use_regex=use_regex)))
            return outcomes[0], outcomes[1]
        finally:
            checks.close()

    whole, cut = asyncio.run(verdicts())
    assert whole.ok == cut.ok


async def test_an_ipv6_server_is_checked_too(checks: Checks) -> None:
    async with serving(says(b"HTTP"), host="::1") as port:
        assert (await checks.check(spec(port, address="::1"))).ok


async def test_nobody_listens(checks: Checks) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = await checks.check(spec(unused.getsockname()[1], method=Method.CONNECT))
    assert (outcome.ok, outcome.reason) == (False, "connection refused")


async def test_a_server_that_accepts_nothing_is_given_up_at_the_limit(checks: Checks) -> None:
    with socket.socket() as full, contextlib.ExitStack() as callers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        outcome = await checks.check(spec(full.getsockname()[1], method=Method.CONNECT, timeout_s=0.2))
    assert (outcome.ok, outcome.reason, outcome.connect_timed_out) == (False, "no connection within 0.2 s", True)


@pytest.mark.parametrize(
    ("address", "port"),
    [("nosuch.example", 80), ("", 80), ("127.0.0.1\0", 80), ("10.1", 80), ("127.0.0.1", 0), ("127.0.0.1", 70000), ("::1", -1)],
)
async def test_what_is_no_address_is_never_looked_up(checks: Checks, address: str, port: int) -> None:
    outcome = await checks.check(spec(port, address=address))
    assert (outcome.ok, outcome.conclusive) == (False, False)
    assert "is not an address" in outcome.reason


async def test_a_director_without_free_files_blames_no_server(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("lvsagent.adapters.checks.sockets.socket.socket", no_socket)
    outcome = await checks.check(spec(80))
    assert (outcome.ok, outcome.conclusive, outcome.reason) == (False, False, "too many open files on this director")


async def test_a_pattern_that_hung_its_process_is_survived_by_the_next(checks: Checks) -> None:
    async with serving(says(b"a" * 4000 + b"!")) as port:
        for _ in range(2):
            slow = await checks.check(spec(port, use_regex=True, expect=b"^(a|aa)+\\1*$"))
            assert "too slow" in slow.reason
            assert (await checks.check(spec(port, use_regex=True, expect=b"a{3}"))).ok


async def test_a_director_that_stood_still_blames_no_server(checks: Checks) -> None:
    async with serving(stays) as port:
        asyncio.get_running_loop().call_later(0.05, select.select, [], [], [], 1.3)
        outcome = await checks.check(spec(port, timeout_s=0.1))
    assert (outcome.ok, outcome.conclusive, outcome.reason) == (False, False, "this director stood still during the check")


async def test_a_pattern_that_cannot_even_be_compiled_in_time_is_ended_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvsagent.adapters.checks.regex_worker.regex.compile", lambda _pattern: next(filter(None, itertools.repeat(0))))
    worker = regex_worker.RegexWorker()
    try:
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                await worker.search(b"a", b"a")
            monkeypatch.undo()
            assert await worker.search(b"a", b"a")
    finally:
        worker.close()


async def test_nothing_stays_open(checks: Checks) -> None:
    async with serving(says(b"HTTP")) as port:
        await checks.check(spec(port, use_regex=True))
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- the folder changes while it is read
        for _ in range(20):
            assert (await checks.check(spec(port))).ok
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208


# --- UDP -----------------------------------------------------------------------------------------------------------------------


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, *answers: bytes) -> None:
        self.answers = answers

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for answer in self.answers:
            self.transport.sendto(answer.replace(b"%", data), addr)


@pytest.mark.parametrize(
    ("answers", "changes", "reason"),
    [
        ([b"%-pong"], {"expect": b"ping-"}, ""),
        ([b"no", b"ping"], {"expect": b"ping"}, "expected ping, got no"),
        ([b"pi"], {"expect": b"ping"}, "expected ping, got pi"),
        ([], {"expect": b"ping", "timeout_s": 0.2}, "no answer within 0.2 s"),
        ([b"x pong y"], {"expect": b"p.ng", "use_regex": True}, ""),
    ],
)
async def test_udp_is_judged_by_the_first_datagram(checks: Checks, answers: list[bytes], changes: dict[str, Any], reason: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(*answers), local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        outcome = await checks.check(spec(port, protocol="udp", send=b"ping", **changes))
    finally:
        transport.close()
    assert (outcome.ok, outcome.reason) == (reason == "", reason)


async def test_udp_without_a_listener_is_refused_and_without_expect_undecided(checks: Checks) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    outcome = await checks.check(spec(port, protocol="udp"))
    assert outcome.reason == "connection refused"
    outcome = await checks.check(spec(port, protocol="udp", expect=None))
    assert (outcome.ok, outcome.conclusive) == (False, False)


# --- programs ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "programs"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def runner(folder: Path) -> Iterator[Checks]:
    made = Checks([folder], own_programs=True)
    yield made
    made.close()


def program(folder: Path, body: str, name: str = "check") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def program_spec(*argv: str, **changes: Any) -> CheckSpec:
    return replace(CheckSpec("http/number1", "10.11.12.21", 80, "tcp", Method.PROGRAM, program=argv, timeout_s=5), **changes)


@pytest.mark.parametrize(
    ("body", "changes", "reason"),
    [
        ("exit 0", {}, ""),
        ("exit 3", {}, "exit status 3"),
        ("echo cannot reach it >&2; exit 2", {}, "exit status 2: cannot reach it"),
        ("kill -SEGV $$", {}, "killed by SIGSEGV"),
        ("echo OK", {"expect": b"OK"}, ""),
        ("printf OK", {"expect": b"OK"}, ""),
        ("echo FAIL", {"expect": b"OK"}, "expected OK, got FAIL"),
        ("echo OK; echo OK", {"expect": b"OK"}, r"expected OK, got OK\nOK"),
        ("true", {"expect": b"OK"}, "expected OK, got nothing"),
        ("echo OK; exit 1", {"expect": b"OK"}, "exit status 1"),
        ("echo load 17", {"expect": b"^load [0-9]+$|^load [0-9]+.$", "use_regex": True}, ""),
        ("echo loaf", {"expect": b"^load", "use_regex": True}, "expected a match of ^load, got loaf"),
        ("exec sleep 30", {"timeout_s": 0.2}, "did not end within 0.2 s"),
        ("exec yes", {}, "printed more than 64 KiB"),
        ("exec yes >&2", {}, "printed more than 64 KiB"),
    ],
)
async def test_a_program_is_judged_by_its_exit_status_and_its_output(
    runner: Checks, folder: Path, body: str, changes: dict[str, Any], reason: str
) -> None:
    outcome = await runner.check(program_spec(program(folder, body), **changes))
    assert (outcome.ok, outcome.reason) == (reason == "", reason)
    assert outcome.duration_s < 3


async def test_arguments_reach_the_program_as_they_are(runner: Checks, folder: Path) -> None:
    path = program(folder, 'printf "%s|" "$@"')
    hostile = ("$(id)", "; echo x", "a b", "`id`", "10.0.0.1")
    outcome = await runner.check(program_spec(path, *hostile, expect="".join(f"{word}|" for word in hostile).encode()))
    assert outcome.ok, outcome.reason


async def test_the_environment_and_the_files_of_the_agent_stay_with_it(
    runner: Checks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "geheim")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        body = "env | cut -d= -f1 | sort | tr '\\n' ' '; ls /proc/self/fd | wc -l; pwd"
        outcome = await runner.check(program_spec(program(folder, body)))
    finally:
        os.close(reading)
        os.close(writing)
    words = outcome.reply.decode().split()
    assert set(words[:-2]) == {"HOME", "LANG", "LVS_CHECK", "PATH", "PWD"}
    assert words[-2:] == ["4", "/"]  # three and the folder that ls reads


def alive(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found


@pytest.mark.parametrize(
    "body",
    [
        "sleep {marker} & wait",
        "setsid sleep {marker} & wait",
        "(setsid sh -c 'sleep {marker} & sleep {marker}' &) ; sleep {marker}",
        "trap '' TERM INT HUP; sleep {marker} & while :; do wait; done",
    ],
)
async def test_at_the_limit_a_program_is_killed_with_all_of_its_children(runner: Checks, folder: Path, body: str) -> None:
    marker = f"4{os.getpid()}{abs(hash(body)) % 100000}"
    outcome = await runner.check(program_spec(program(folder, body.format(marker=marker)), timeout_s=0.3))
    assert outcome.reason == "did not end within 0.3 s"
    await gone(marker)


async def test_what_a_program_leaves_running_is_ended_with_it(runner: Checks, folder: Path) -> None:
    marker = f"5{os.getpid()}"
    outcome = await runner.check(program_spec(program(folder, f"sleep {marker} & setsid sleep {marker} & exit 0")))
    assert outcome.ok
    assert outcome.duration_s < 2
    await gone(marker)


async def gone(marker: str) -> None:
    await until(lambda: not alive(marker))


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_an_argument_with_a_nul_byte_is_refused(runner: Checks, folder: Path) -> None:
    outcome = await runner.check(program_spec(program(folder, "exit 0"), "a\0b"))
    assert "a NUL byte cannot be part of an argument" in outcome.reason


async def test_a_cancelled_check_leaves_no_process(runner: Checks, folder: Path) -> None:
    marker = f"6{os.getpid()}"
    task = asyncio.create_task(runner.check(program_spec(program(folder, f"sleep {marker}"))))
    await until(lambda: bool(alive(marker)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(marker)


def link(folder: Path, target: str) -> str:
    (folder / "link").symlink_to(target)
    return str(folder / "link")


def beside(folder: Path) -> str:
    other = folder.with_name(folder.name + "-evil")
    other.mkdir()
    return program(other, "exit 0")


def plain_file(folder: Path) -> str:
    path = program(folder, "exit 0")
    Path(path).chmod(0o644)
    return path


def world_writable(folder: Path) -> str:
    path = program(folder, "exit 0")
    Path(path).chmod(0o757)
    return path


def in_world_writable_folder(folder: Path) -> str:
    inner = folder / "inner"
    inner.mkdir()
    path = program(inner, "exit 0")
    inner.chmod(0o1777)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: "check", "not run: give the program's whole path"),
        (lambda folder: str(folder / "missing"), "no such program"),
        (lambda _: "/bin/true", "it is not in one of program_dirs"),
        (lambda folder: f"{folder}/../../../../../../bin/true", "it is not in one of program_dirs"),
        (lambda folder: link(folder, "/bin/true"), "it is not in one of program_dirs"),
        (lambda folder: link(folder, str(folder / "link")), "no such program"),
        (str, "it is not in one of program_dirs"),
        (beside, "it is not in one of program_dirs"),
        (plain_file, "cannot be run: permission denied"),
        (world_writable, "can be changed by the check user or by anybody"),
        (in_world_writable_folder, "can be changed by the check user or by anybody"),
        (lambda folder: f"{folder}/a\0b", "no such program"),
        (lambda _: "", "not run: give the program's whole path"),
    ],
)
async def test_only_programs_of_program_dirs_are_run(runner: Checks, folder: Path, make: Callable[[Path], str], reason: str) -> None:
    outcome = await runner.check(program_spec(make(folder)))
    assert not outcome.ok
    assert reason in outcome.reason


async def test_a_link_from_one_program_dir_to_another_is_followed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    (folder / "link").symlink_to(program(other, "exit 0"))
    assert permitted(str(folder / "link"), [folder, other], own=True) == other / "check"
    with pytest.raises(ProgramRefusedError):
        permitted(str(folder / "link"), [folder], own=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize(("owner", "mode", "ok"), [(0, 0o755, True), (65534, 0o555, False), (0, 0o757, False), (0, 0o775, True)])
def test_the_check_user_cannot_run_what_it_could_change(owner: int, mode: int, ok: bool) -> None:
    """In a process that has become nobody: its own files are refused even while it has taken its write permission away."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which nobody else may enter
    folder.chmod(0o755)
    try:
        path = Path(program(folder, "id -u"))
        os.chown(path, owner, 0)
        path.chmod(mode)
        outcome = run_as_nobody(lambda: asyncio.run(checked_once(folder, str(path))))
        assert outcome == ("ok" if ok else "can be changed by the check user or by anybody")
    finally:
        path.unlink()
        folder.rmdir()


async def checked_once(folder: Path, path: str) -> str:
    checks = Checks([folder])
    outcome = await checks.check(program_spec(path, expect=b"65534"))
    checks.close()
    return "ok" if outcome.ok else outcome.reason.rpartition(f"{path} ")[2]


def run_as_nobody(work: Callable[[], str]) -> str:
    """The result of ``work`` in a forked process without privileges."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def test_set_id_bits_are_of_no_interest(folder: Path) -> None:
    path = Path(program(folder, "exit 0"))
    path.chmod(0o4755)
    assert path.stat().st_mode & stat.S_ISUID
    assert permitted(str(path), [folder], own=True) == path
