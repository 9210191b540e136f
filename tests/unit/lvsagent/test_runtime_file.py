"""A file of the runtime folder: kept whole, and done without when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsagent.lvsd.runtime_file import RuntimeFile


def kept_in(folder: Path) -> RuntimeFile[dict[str, int]]:
    return RuntimeFile(folder / "counts.json", dict[str, int], "the counts")


def test_what_was_saved_is_there_for_the_next_one_until_it_is_discarded(tmp_path: Path) -> None:
    assert kept_in(tmp_path).load() is None
    assert kept_in(tmp_path).save({"one": 1})
    assert kept_in(tmp_path).save({"two": 2})
    assert kept_in(tmp_path).load() == {"two": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]
    kept_in(tmp_path).discard()
    kept_in(tmp_path).discard()
    assert kept_in(tmp_path).load() is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"one": "many"}', b"\xff"])
def test_what_cannot_be_used_is_said_and_counts_as_nothing(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "counts.json").write_bytes(data)
    assert kept_in(tmp_path).load() is None
    assert f"the counts kept in {tmp_path}/counts.json cannot be used" in caplog.text


def test_what_cannot_be_saved_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not kept_in(tmp_path / "gone").save({"one": 1})
    assert f"the counts cannot be kept in {tmp_path}/gone/counts.json: No such file or directory" in caplog.text
