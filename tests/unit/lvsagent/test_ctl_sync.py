"""What ``lvsctl sync`` and ``lvsctl drift`` print."""

from __future__ import annotations

from lvsagent.ctl_sync import drift_text, sync_text
from lvsagent.wire import Difference, Fingerprints, SyncInfo

SIDE = Fingerprints(file="a" * 64, applied="a" * 64, serial=7, table="b" * 64, table_read="b" * 64)


def test_sync_says_how_it_stands_and_since_when() -> None:
    assert sync_text(SyncInfo(words="there is no other director")) == "there is no other director\n"
    text = sync_text(SyncInfo(state="behind", words="righty is behind by 2 (no route\x1b)", since=1.0))
    assert text.startswith("righty is behind by 2 (no route\\x1b)\nsince 1970-")
    assert text.endswith("it last answered: -\n")


def test_drift_shows_both_sides_and_that_all_is_alike() -> None:
    text = drift_text(SyncInfo(state="in_step", here=SIDE, peer=SIDE, peer_node="righty", equal_since=1.0))
    assert "WHAT                HERE          RIGHTY\nserial              7             7\n" in text
    assert "lvs.cf in force     aaaaaaaaaaaa  aaaaaaaaaaaa\n" in text
    assert "all alike since 1970-" in text


def test_drift_says_what_differs_and_the_way_out() -> None:
    found = Difference(code="file", words="the file is not what runs", actions=["adopt", "restore"])
    text = drift_text(SyncInfo(state="unpaired", here=SIDE, equal=False, differences=[found]))
    assert text.endswith("the file is not what runs, since -: lvsctl drift --adopt or lvsctl drift --restore\n")
