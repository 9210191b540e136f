"""The password file and ``piranha-passwd``: argon2id, one atomic write, no default, nothing shown."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from app.passwd import HASHER, PasswordError, PasswordFile, check_password_rules, main
from tests.unit.app.conftest import CHEAP

GOOD = "a fish with sharp teeth"


@pytest.fixture
def file(tmp_path: Path) -> PasswordFile:
    return PasswordFile(tmp_path / "state" / "piranha.passwd", CHEAP)


def test_the_hash_is_argon2id(file: PasswordFile) -> None:
    file.set(GOOD)
    assert file.path.read_text().startswith("piranha:$argon2id$")
    assert GOOD not in file.path.read_text()
    assert HASHER.type.name == "ID"


def test_only_the_owner_can_read_it(file: PasswordFile) -> None:
    file.set(GOOD)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_only_the_right_user_with_the_right_password_gets_in(file: PasswordFile) -> None:
    file.set(GOOD)
    assert file.verify("piranha", GOOD)
    assert not file.verify("piranha", GOOD + " ")
    assert not file.verify("root", GOOD)
    assert not file.verify("", "")


def test_without_a_file_nobody_gets_in(file: PasswordFile) -> None:
    assert not file.verify("piranha", "")
    assert file.fingerprint() == ""


def test_the_same_characters_however_composed_are_the_same_password(file: PasswordFile) -> None:
    file.set("caf\u00e9 au lait au lit")
    assert file.verify("piranha", "cafe\u0301 au lait au lit")


@pytest.mark.parametrize(
    "content", ["", "\n", "piranha\n", "piranha:\n", "piranha:plain text\n", "root:$argon2id$v=19$x\n", "\x00\xff:::\n"]
)
def test_a_file_that_holds_no_password_lets_nobody_in(file: PasswordFile, content: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(content)
    assert not file.verify("piranha", "")
    assert not file.verify("piranha", "plain text")


def test_a_damaged_hash_lets_nobody_in(file: PasswordFile) -> None:
    file.set(GOOD)
    file.path.write_text(file.path.read_text()[:60] + "\n")
    assert not file.verify("piranha", GOOD)


def test_the_fingerprint_changes_with_every_change(file: PasswordFile) -> None:
    file.set(GOOD)
    first = file.fingerprint()
    file.set(GOOD)
    assert first != file.fingerprint() != ""


def test_a_hash_with_weaker_parameters_is_renewed_at_login(file: PasswordFile) -> None:
    file.set(GOOD)
    stronger = PasswordFile(file.path, PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert stronger.verify("piranha", GOOD)
    assert "t=2" in file.path.read_text()
    assert stronger.verify("piranha", GOOD)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(file: PasswordFile) -> None:
    file.set(GOOD)
    before = file.path.read_text()
    blocked = PasswordFile(file.path / "below-a-file", CHEAP)
    with pytest.raises(PasswordError, match="cannot be written"):
        blocked.set(GOOD)
    assert file.path.read_text() == before
    assert [one.name for one in file.path.parent.iterdir()] == ["piranha.passwd"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_file_to_the_user_of_the_console(file: PasswordFile) -> None:
    file.path.parent.mkdir()
    os.chown(file.path.parent, 12_345, 12_345)
    file.set(GOOD)
    assert (file.path.stat().st_uid, stat.S_IMODE(file.path.stat().st_mode)) == (12_345, 0o600)
    os.chown(file.path, 12_345, 54_321)
    file.path.chmod(0o640)
    file.set(GOOD)
    found = file.path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 54_321, 0o640)


@pytest.mark.parametrize("password", ["", "short", "a" * 20, "abababababab", "piranhapiranha", "1234567890", "x" * 1025])
def test_a_password_that_protects_nothing_is_refused(password: str) -> None:
    with pytest.raises(PasswordError):
        check_password_rules(password)


# --- the command ---


def test_sets_it_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD + "\nnot this line\n"))
    assert main(["--stdin", "--file", str(tmp_path / "p")]) == 0
    assert PasswordFile(tmp_path / "p").verify("piranha", GOOD)
    assert GOOD not in capsys.readouterr().out


def test_takes_it_from_the_command_line_as_piranha_did_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD, "--file", str(tmp_path / "p")]) == 0
    said = capsys.readouterr()
    assert "warning" in said.err
    assert GOOD not in said.out + said.err


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    waiting = list(answers)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: waiting.pop(0))


def test_asks_twice_without_echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, GOOD, GOOD)
    assert main(["--file", str(tmp_path / "p")]) == 0
    assert PasswordFile(tmp_path / "p").verify("piranha", GOOD)


def test_two_different_answers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed(monkeypatch, GOOD, GOOD + "x")
    assert main(["--file", str(tmp_path / "p")]) == 1
    assert "not the same" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_short_answer_is_refused_before_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "short")
    assert main(["--file", str(tmp_path / "p")]) == 1
    assert "at least 10 characters" in capsys.readouterr().err


def test_the_file_is_the_one_of_the_consoles_settings(tmp_path: Path) -> None:
    config = tmp_path / "console.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n')
    assert main([GOOD, "--config", str(config)]) == 0
    assert (tmp_path / "state" / "piranha.passwd").exists()


def test_bad_settings_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD, "--config", str(tmp_path / "none.toml")]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_a_password_and_standard_input_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([GOOD, "--stdin", "--file", str(tmp_path / "p")])
