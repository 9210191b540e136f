"""``lvsagent receive``: what is accepted of the other director, and what every failure becomes on the line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lvsagent import receive as module
from lvsagent.adapters.peer_lines import Again, answer_of, request_line
from lvsagent.adapters.peer_rsync import rsync_argv as call_of_rsync
from lvsagent.client import AgentClient, AgentDown, AgentRefused, InvalidConfig
from lvsagent.core.introduction import COMMAND, Introduction
from lvsagent.ports import PeerRefused, PeerUnreachable
from lvsagent.receive import receive, rsync_argv


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(f'state_dir = "{tmp_path}"\nruntime_dir = "{tmp_path}"\n')
    (tmp_path / "sync/inbox").mkdir(parents=True)
    (tmp_path / "sync/authorized_keys").write_text("one\n")
    return path


Agent = Callable[[bytes], bytes]


def session(config: Path, lines: bytes, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[bytes]]:
    """One session with these lines; the exit status and the answers."""
    monkeypatch.setattr(AgentClient, "peer", lambda _self, request, _limit: agent(request))
    said = io.BytesIO()
    status = receive(config, {"SSH_ORIGINAL_COMMAND": COMMAND}, io.BytesIO(lines), said)
    return status, said.getvalue().splitlines(keepends=True)


def test_each_line_is_answered_by_a_line_until_there_is_no_more(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, answers = session(config, b'{"a": 1}\n{"b": 2}\n', lambda request: b"[\n" + request + b"\n]", monkeypatch)
    assert (status, answers) == (0, [b'200 [ {"a": 1} ]\n', b'200 [ {"b": 2} ]\n'])
    assert answer_of(answers[0]) == b'[ {"a": 1} ]'


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (AgentDown("no agent listens"), PeerUnreachable, "no agent listens"),
        (AgentRefused("unavailable", "not now"), PeerUnreachable, "not now"),
        (AgentRefused("forbidden", "not you"), PeerRefused, "not you"),
        (InvalidConfig("two errors\x1b[2J", []), PeerRefused, "two errors"),
    ],
)
def test_what_the_agent_cannot_do_keeps_its_words_on_the_way(
    config: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], words: str
) -> None:
    def fail(_request: bytes) -> bytes:
        raise error

    status, (answer,) = session(config, b"{}\n", fail, monkeypatch)
    assert status == 0
    with pytest.raises(kind, match=words) as caught:
        answer_of(answer)
    assert str(caught.value).isprintable()


def test_a_pairing_that_changes_ends_the_session_before_the_next_request_is_looked_at(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(request: bytes) -> bytes:
        (config.parent / "sync/authorized_keys").unlink()
        return request

    status, answers = session(config, b"[1]\n[2]\n", change, monkeypatch)
    assert (status, answers[0]) == (1, b"200 [1]\n")
    with pytest.raises(Again):
        answer_of(answers[1])


def test_a_line_that_does_not_end_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_LINE_BYTES", 100)
    status, (answer,) = session(config, b"x" * 1000, bytes, monkeypatch)
    assert (status, answer[:4]) == (1, b"413 ")


def test_a_file_that_rsync_brought_is_taken_only_when_it_is_whole(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config.parent / "sync/inbox/request").write_bytes(b"[]")
    whole = b"file 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945\n"
    _, answers = session(config, whole + whole.replace(b"4f", b"5f") + b"file ../../etc/passwd\n", bytes, monkeypatch)
    assert answers[0] == b"200 []\n"
    with pytest.raises(PeerUnreachable, match="not what was sent"):
        answer_of(answers[1])
    assert answers[2] == b"200 file ../../etc/passwd\n"  # no request of a kind of its own: the agent refuses it


def test_a_request_is_one_line_whatever_is_in_it() -> None:
    assert request_line(b'{\n"a":\n1}') == b'{ "a": 1}\n'


@pytest.mark.parametrize("line", [b"", b"\n", b"abc\n", b"999 {}\n", b'403 {"message": 5}\n', b"403 \xff\n", b"503\n"])
def test_an_answer_that_makes_no_sense_is_said_in_words(line: bytes) -> None:
    with pytest.raises((PeerRefused, PeerUnreachable)):
        answer_of(line)


@pytest.mark.parametrize("asked", ["", "id", COMMAND + " ", "lvsagent-sync 1\n", "x\x1b[2J"])
def test_anything_else_is_refused_with_a_sentence(config: Path, asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert receive(config, {"SSH_ORIGINAL_COMMAND": asked}, io.BytesIO(), io.BytesIO()) == 1
    said = capsys.readouterr().err
    assert said.startswith("lvsagent: ")
    assert "is not what this key is for" in said
    assert said.strip().isprintable()


def test_an_agent_toml_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert receive(tmp_path / "none", {"SSH_ORIGINAL_COMMAND": COMMAND}, io.BytesIO(), io.BytesIO()) == 1
    assert "agent.toml cannot be used" in capsys.readouterr().err


def test_the_one_call_of_rsync_is_run_with_arguments_of_ours() -> None:
    assert rsync_argv("rsync --server -Ize.iLsfxCIvu --timeout=30 . request") == [
        "/usr/bin/rsync",
        "--server",
        "-Ize.iLsfxCIvu",
        "--timeout=30",
        ".",
        "request",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        "rsync --server --sender -Ize.iLsfxCIvu --timeout=30 . request",
        "rsync --server -Ize.iLsfxCIvu --timeout=30 . request ",
        "rsync --server -Ize.iLsfxCIvu --timeout=30 . /etc/passwd",
        "rsync --server -Ize.iLsfxCIvu --timeout=30 . requests",
        "rsync --server -IzLe.iLsfxCIvu --timeout=30 . request",
        "rsync --server -Ize.iLsfxCIvu --timeout=30 --remove-source-files . request",
        "rsync --server -Ize.;id --timeout=30 . request",
        "rsync --server -Ize.iLsfxCIvu --timeout=30 . request; id",
        "/srv/rsync --server -Ize.iLsfxCIvu --timeout=30 . request",
    ],
)
def test_no_other_call_of_rsync_is(asked: str) -> None:
    assert rsync_argv(asked) is None


def test_our_rsync_asks_exactly_what_is_accepted(tmp_path: Path) -> None:
    """Asked of the real rsync, with a program in ssh's place that writes down what it was told."""
    if not Path("/usr/bin/rsync").exists():
        pytest.skip("there is no rsync")
    told = tmp_path / "told"
    fake = tmp_path / "ssh"
    fake.write_text(f"#!{sys.executable}\nimport json, sys\nopen({str(told)!r}, 'w').write(json.dumps(sys.argv))\n")
    fake.chmod(0o755)
    (tmp_path / "request").write_text("x")

    class Keys:
        known_host, private_key = tmp_path / "known_host", tmp_path / "a key"

    peer = Introduction("righty", ("2001:db8::1",), 22, "lvssync", "", "")
    argv = call_of_rsync(Keys(), peer, "2001:db8::1", 12.3)  # type: ignore[arg-type]  # the two paths are all it asks for
    argv[argv.index("-e") + 1] = argv[argv.index("-e") + 1].replace("/usr/bin/ssh", str(fake))
    subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False, timeout=20)
    words = json.loads(told.read_text())
    start = words.index("rsync")
    assert rsync_argv(" ".join(words[start:])) is not None
    assert words[start - 3 : start] == ["-l", "lvssync", "2001:db8::1"]
    assert str(Keys.private_key) in words


def test_neither_ssh_nor_cryptography_is_loaded_before_it_is_needed() -> None:
    program = "import sys, lvsagent.lvsd, lvsagent.lvsd.way; print({'paramiko', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
