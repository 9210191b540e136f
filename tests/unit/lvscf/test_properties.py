"""What holds for every file and every edit."""

from __future__ import annotations

import dataclasses
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.lvscf import Config, UnwritableValue, diff, load, parse, read, render, write
from tests.unit.lvscf.strategies import any_text, derived, files

slow = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "25")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
)


@given(any_text)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert str(parse(text)) == text


@slow
@given(files())
def test_any_file_comes_back_as_it_was(text: str) -> None:
    assert str(parse(text)) == text


@given(st.one_of(any_text, files()))
@example("virtual http {\nmark_ports = \x1b\n}\n")
@example("virtual http {\nmark_ports = 80/\x1b\n}\n")
@slow
def test_any_text_can_be_loaded_and_every_finding_has_a_line_of_the_file(text: str) -> None:
    loaded = load(text)
    lines = text.split("\n")
    assert [found.line for found in loaded.diagnostics] == sorted(found.line for found in loaded.diagnostics)
    for found in loaded.diagnostics:
        assert 0 <= found.line <= len(lines)
        assert found.message.isprintable()
        found.message.encode("utf-8")
        if found.column:
            assert found.column - 1 + found.width <= len(lines[found.line - 1])


@given(st.one_of(any_text, files()))
@slow
def test_writing_what_was_read_changes_nothing(text: str) -> None:
    document = parse(text)
    config = read(document).config
    assert write(document, config) == text
    assert write(document, dataclasses.replace(config)) == text


@given(st.data())
@slow
def test_what_is_written_is_read_back(data: st.DataObject) -> None:
    document = parse(data.draw(files()))
    config = data.draw(derived(read(document).config))
    try:
        text = write(document, config)
    except UnwritableValue:
        pytest.fail("every value drawn can be written")
    assert read(parse(text)).config == config


@given(st.data())
@slow
def test_an_edit_is_settled_in_one_pass(data: st.DataObject) -> None:
    """Writing once more what was just written changes nothing."""
    document = parse(data.draw(files()))
    text = write(document, data.draw(derived(read(document).config)))
    again = parse(text)
    assert write(again, read(again).config) == text


@given(st.data())
@slow
def test_a_new_file_says_what_it_was_made_from_without_error(data: st.DataObject) -> None:
    config = data.draw(derived(Config()))
    loaded = load(render(config))
    assert loaded.config == config


@given(st.data())
@slow
def test_the_lines_of_an_unchanged_block_stay(data: st.DataObject) -> None:
    """Whatever happens elsewhere, a block that is kept as it was keeps its own lines, byte for byte, in one piece."""
    document = parse(data.draw(files()))
    old = read(document).config
    new = data.draw(derived(old))
    text = write(document, new)
    before = {item.key: item for item in (*old.virtual, *old.failover)}
    for item in (*new.virtual, *new.failover):
        if item.key is not None and before[item.key] is item:
            block = document.block(item.key)
            assert block is not None
            if not all(part.closed for part in (block, *block.blocks)):
                continue  # the braces that it lacks may have been added
            own = "\n".join(document.lines[block.head : block.end + 1])
            assert own.removesuffix("\r") in text


@given(st.data())
@slow
def test_changes_are_said_exactly_when_there_are_some(data: st.DataObject) -> None:
    config = read(parse(data.draw(files()))).config
    new = data.draw(derived(config))
    changes = diff(config, new)
    assert bool(changes) == (config != new)
    assert all(change.words.isprintable() for change in changes)
