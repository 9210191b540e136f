"""Two configurations made from one, put together: by keyword, and by virtual server."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.lvscf import Config, load, parse, read, write
from app.lvscf.merge import HERE, THERE, merge
from app.lvscf.model import VirtualServer
from tests.fakes.agent import TUTORIAL
from tests.unit.lvscf.strategies import derived, files

slow = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
)
BASE = load(TUTORIAL).config


def edited(config: Config, name: str, **fields: object) -> Config:
    virtual = tuple(replace(one, **fields) if one.name == name else one for one in config.virtual)  # type: ignore[arg-type]
    return replace(config, virtual=virtual)


@given(st.data())
@slow
def test_what_only_one_side_changed_is_taken(data: st.DataObject) -> None:
    base = read(parse(data.draw(files()))).config
    changed = data.draw(derived(base))
    assert merge(base, base, changed).config == changed
    assert merge(base, changed, base).config == changed
    assert not merge(base, base, changed).conflicts
    assert not merge(base, changed, base).conflicts


@given(st.data())
@slow
def test_equal_changes_on_both_sides_are_no_conflict(data: st.DataObject) -> None:
    base = read(parse(data.draw(files()))).config
    changed = data.draw(derived(base))
    merged = merge(base, changed, changed)
    assert (merged.config, merged.items) == (changed, ())


@given(st.data())
@slow
def test_without_a_conflict_it_does_not_matter_from_where_one_looks(data: st.DataObject) -> None:
    base = read(parse(data.draw(files()))).config
    one, other = data.draw(derived(base)), data.draw(derived(base))
    merged, mirrored = merge(base, one, other), merge(base, other, one)
    assert len(merged.conflicts) == len(mirrored.conflicts)
    if not merged.conflicts:
        assert merged.config == mirrored.config


@given(st.data())
@slow
def test_the_result_can_be_written_into_our_document(data: st.DataObject) -> None:
    base_text = data.draw(files())
    base = read(parse(base_text)).config
    here_text, there_text = (write(parse(base_text), data.draw(derived(base))) for _ in (1, 2))
    document = parse(here_text)
    here, there = read(document).config, read(parse(there_text)).config
    picks = {one.key: data.draw(st.sampled_from([HERE, THERE])) for one in merge(base, here, there).items}
    merged = merge(base, here, there, picks).config
    assert read(parse(write(document, merged))).config == merged


@given(st.data())
@slow
def test_taking_everything_from_one_side_is_that_side(data: st.DataObject) -> None:
    base = read(parse(data.draw(files()))).config
    here, there = data.draw(derived(base)), data.draw(derived(base))
    keys = [one.key for one in merge(base, here, there).items]
    mine = merge(base, here, there, dict.fromkeys(keys, HERE)).config
    theirs = merge(base, here, there, dict.fromkeys(keys, THERE)).config
    assert sorted(one.name for one in mine.virtual) == sorted(one.name for one in here.virtual)
    assert sorted(one.name for one in theirs.virtual) == sorted(one.name for one in there.virtual)


def test_changes_of_two_virtual_servers_both_stand() -> None:
    merged = merge(BASE, edited(BASE, "http", port=8080), edited(BASE, "https", port=8443))
    assert [one.port for one in merged.config.virtual] == [8080, 8443]
    assert not merged.conflicts
    assert [(one.subject, one.taken) for one in merged.items] == [("virtual server http", HERE), ("virtual server https", THERE)]


def test_both_changed_one_virtual_server_is_a_conflict_with_both_in_words() -> None:
    here, there = edited(BASE, "http", port=8080), edited(BASE, "http", port=9090)
    (conflict,) = merge(BASE, here, there).conflicts
    assert conflict.here == ("virtual server http: port 80 → 8080",)
    assert conflict.there == ("virtual server http: port 80 → 9090",)
    assert merge(BASE, here, there).config.virtual[0].port == 8080
    assert merge(BASE, here, there, {conflict.key: THERE}).config.virtual[0].port == 9090


def test_deleted_here_and_changed_there_is_a_conflict() -> None:
    here = replace(BASE, virtual=BASE.virtual[1:])
    there = edited(BASE, "http", port=9090)
    (conflict,) = merge(BASE, here, there).conflicts
    assert [one.name for one in merge(BASE, here, there).config.virtual] == ["https"]
    assert [one.name for one in merge(BASE, here, there, {conflict.key: THERE}).config.virtual] == ["http", "https"]


def test_a_virtual_server_added_on_each_side_is_in_both_times() -> None:
    here = replace(BASE, virtual=(*BASE.virtual, VirtualServer(name="here")))
    there = replace(BASE, virtual=(VirtualServer(name="there"), *BASE.virtual))
    merged = merge(BASE, here, there)
    assert {one.name for one in merged.config.virtual} == {"here", "there", "http", "https"}
    assert not merged.conflicts


def test_the_serial_is_never_a_conflict_and_the_higher_one_counts() -> None:
    def with_serial(number: int) -> Config:
        return replace(BASE, globals=replace(BASE.globals, serial_no=number))

    merged = merge(BASE, with_serial(9), with_serial(12))
    assert (merged.config.globals.serial_no, merged.items) == (12, ())


def test_comments_of_our_file_stay() -> None:
    text = TUTORIAL.replace("virtual http {", "# the shop\nvirtual http {  # busy").replace("weight = 3", "weight = 3 # strong")
    document = parse(text)
    there = edited(BASE, "http", port=9090)
    written = write(document, merge(BASE, read(document).config, there).config)
    assert "# the shop\nvirtual http {  # busy" in written
    assert "weight = 3 # strong" in written
    assert "port = 9090" in written
