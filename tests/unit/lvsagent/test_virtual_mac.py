"""Shared hardware addresses: both directors come to the same, nobody else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.addresses import Address
from lvsagent.core.virtual_mac import device_name, hardware_address, moved

PAIR = ("192.0.2.11", "192.0.2.12")
names = st.text(st.characters(codec="ascii", exclude_characters="/ \0"), min_size=1, max_size=15)


@given(names)
def test_both_directors_come_to_the_same_address_whoever_they_are(interface: str) -> None:
    assert hardware_address(PAIR, interface) == hardware_address(PAIR[::-1], interface)


@given(names)
def test_it_is_a_locally_administered_address_of_one_host(interface: str) -> None:
    octets = bytes.fromhex(hardware_address(PAIR, interface).replace(":", ""))
    assert (len(octets), octets[0]) == (6, 0x02)


def test_other_pairs_and_other_interfaces_have_others() -> None:
    found = [hardware_address(pair, name) for pair in (PAIR, ("192.0.2.11", "192.0.2.13")) for name in ("eth0", "eth1")]
    assert len(set(found)) == 4


@given(names, names)
def test_every_interface_has_a_name_of_its_own_that_the_kernel_takes(one: str, other: str) -> None:
    assert len(device_name(one).encode()) <= 15
    assert (device_name(one) == device_name(other)) is (one == other)


@pytest.mark.parametrize(("address", "prefix", "alone"), [("192.0.2.100", 24, 32), ("2001:db8::100", 64, 128)])
def test_an_address_moves_alone_and_without_its_label(address: str, prefix: int, alone: int) -> None:
    found = moved(Address(address, prefix, "eth1", "eth1:1"))
    assert (found, found.label) == (Address(address, alone, "vmac-eth1"), "")
