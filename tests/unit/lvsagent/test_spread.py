"""Which nanny checks which real server: by its address alone, evenly, and with what part of the director's limits."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.spread import MOST_NANNIES, kind_of, nanny_names, nanny_of, share_of
from lvsagent.nanny.run import KEPT_FILES, MAX_RUNNING

ADDRESSES = st.one_of(st.ip_addresses().map(str), st.text())
COUNTS = st.integers(1, MOST_NANNIES)
FARMS = {
    "a network in order": [f"10.0.{number // 250}.{1 + number % 250}" for number in range(1000)],
    "one host in each network": [f"10.{number // 250}.{number % 250}.1" for number in range(1000)],
    "IPv6": [f"2001:db8::{number:x}" for number in range(1000)],
}


def test_the_first_is_called_as_when_it_was_alone() -> None:
    assert nanny_names(1) == ("nanny",)
    assert nanny_names(3) == ("nanny", "nanny-2", "nanny-3")
    assert {kind_of(name) for name in nanny_names(MOST_NANNIES)} == {"nanny"}
    assert (kind_of("pulse"), kind_of("nanny-99")) == ("pulse", "nanny-99")


@given(ADDRESSES, COUNTS)
def test_every_address_has_one_nanny_that_exists(address: str, count: int) -> None:
    assert 0 <= nanny_of(address, count) < count
    assert nanny_of(address, count) == nanny_of(address, count)
    assert nanny_of(address, 1) == 0


@pytest.mark.parametrize("farm", FARMS)
@pytest.mark.parametrize("count", [2, 3, 4, 8, 16])
def test_neighbouring_addresses_are_spread_evenly(farm: str, count: int) -> None:
    found = Counter(nanny_of(address, count) for address in FARMS[farm])
    fair = len(FARMS[farm]) / count
    assert min(found[place] for place in range(count)) >= 0.6 * fair
    assert max(found.values()) <= 1.5 * fair


@given(st.integers(1, 10**6), COUNTS)
def test_nannies_together_use_no_more_than_one_did(whole: int, count: int) -> None:
    assert share_of(whole, count) >= 1
    assert share_of(whole, count) * count <= max(whole, count)


def test_the_files_that_the_unit_lets_a_nanny_open_are_enough_for_its_checks() -> None:
    unit = (Path(__file__).parents[3] / "deploy" / "systemd" / "lvsagent.service").read_text()
    (files,) = re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert int(files) >= MAX_RUNNING + KEPT_FILES
