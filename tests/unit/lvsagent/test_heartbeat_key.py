"""The pair's key: how it is made and installed, whose it must be, and what is said when it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvsagent.adapters.heartbeat_key import KeyFile, NoKey, make_key_file, read_keys, take_key_file
from lvsagent.core.heartbeat import Keys
from lvsagent.ports import AdapterError


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_made_once_for_root_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    made = read_keys(path)
    assert (len(made.present), made.previous) == (32, None)
    with pytest.raises(AdapterError, match="never overwritten"):
        make_key_file(path)
    assert read_keys(path) == made


def test_taking_a_key_keeps_the_one_before_it(tmp_path: Path) -> None:
    first, second, ours = tmp_path / "first", tmp_path / "second", tmp_path / "state" / "heartbeat.key"
    make_key_file(first)
    make_key_file(second)
    assert "holds the key now" in take_key_file(first, ours)
    assert read_keys(ours) == read_keys(first)
    assert "the one before it is taken as well" in take_key_file(second, ours)
    assert read_keys(ours) == Keys(read_keys(second).present, read_keys(first).present)
    assert "already" in take_key_file(second, ours)
    assert ours.stat().st_mode & 0o777 == 0o600


def test_a_key_that_cannot_be_taken_leaves_ours_as_it_was(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours", "ab" * 32)
    with pytest.raises(AdapterError, match="not hexadecimal"):
        take_key_file(write(tmp_path / "bad", "secret"), ours)
    assert read_keys(ours).present == b"\xab" * 32


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("ab" * 32, 0o640, "chmod 600"),
        ("ab" * 32, 0o604, "can be read by others"),
        ("", 0o600, "holds no key"),
        ("# only words\n", 0o600, "holds no key"),
        ("xyz", 0o600, "key 1 is not hexadecimal"),
        ("ab" * 31, 0o600, "31 bytes; at least 32"),
        ("ab" * 32 + "\n" + "cd" * 8, 0o600, "key 2 has 8 bytes"),
        ("\n".join(["ab" * 32] * 3), 0o600, "3 keys"),
        ("ab" * 4000, 0o600, "too long"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, text: str, mode: int, words: str) -> None:
    with pytest.raises(AdapterError, match=words) as caught:
        read_keys(write(tmp_path / "key", text, mode))
    assert str(tmp_path / "key") in str(caught.value)


def test_no_file_a_folder_and_a_stranger_s_file(tmp_path: Path) -> None:
    with pytest.raises(NoKey, match="lvsctl pair"):
        read_keys(tmp_path / "none")
    with pytest.raises(AdapterError, match="not a regular file"):
        read_keys(tmp_path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "ab" * 32)
    os.chown(path, 65534, 65534)
    with pytest.raises(AdapterError, match="belongs to user id 65534"):
        read_keys(path)


def test_pulse_sees_a_new_key_and_keeps_the_old_one_when_the_file_goes_bad(tmp_path: Path) -> None:
    path = tmp_path / "key"
    file = KeyFile(path)
    assert not file.look()
    assert (file.keys, file.missing) == (None, True)
    write(path, "ab" * 32)
    assert file.look()
    assert (file.keys, file.missing, file.problem) == (Keys(b"\xab" * 32), False, "")
    assert not file.look()
    path.chmod(0o644)
    assert not file.look()
    assert file.keys == Keys(b"\xab" * 32)
    assert "chmod 600" in file.problem
    path.unlink()
    assert not file.look()
    assert file.keys == Keys(b"\xab" * 32)
    write(path, "cd" * 32 + "\n" + "ab" * 32)
    assert file.look()
    assert file.keys == Keys(b"\xcd" * 32, b"\xab" * 32)
