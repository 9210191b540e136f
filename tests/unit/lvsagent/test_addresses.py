"""Which addresses are added, removed and announced: what is not ours is never removed, what is ours is never forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.addresses import REFRESH_S, Address, Announcements, next_steps

VIP = Address("192.0.2.100", 24, "eth1", "eth1:1")
OTHER = Address("192.0.2.101", 24, "eth1", "eth1:2")
NAT = Address("10.11.12.1", 24, "eth0", "eth0:1")
SIX = Address("2001:db8::100", 64, "eth1", "eth1:1")


def test_what_is_wanted_and_missing_is_added_in_the_order_given_and_recorded_first() -> None:
    steps = next_steps([NAT, VIP, NAT], [], [])
    assert steps.add == (NAT, VIP)
    assert steps.owned == {NAT, VIP}
    assert steps.restored == ()


def test_what_is_ours_and_no_longer_wanted_is_removed() -> None:
    steps = next_steps([VIP], [VIP, NAT], [VIP, NAT])
    assert steps.remove == (NAT,)
    assert steps.add == ()


def test_what_was_there_before_us_is_used_and_never_removed() -> None:
    assert next_steps([VIP], [], [VIP]).idle
    assert next_steps([VIP], [], [VIP]).foreign == {VIP}
    assert next_steps([], [], [VIP]).idle


def test_after_a_crash_its_own_are_adopted() -> None:
    steps = next_steps([VIP, NAT], [VIP, NAT], [VIP])  # killed between the record and the second address
    assert steps.add == (NAT,)
    assert steps.owned == {VIP, NAT}


def test_what_someone_else_removed_comes_back() -> None:
    steps = next_steps([VIP], [VIP], [])
    assert steps.add == (VIP,)
    assert steps.restored == (VIP,)


def test_what_left_both_lvs_cf_and_the_interface_is_forgotten() -> None:
    assert next_steps([], [VIP], []).owned == frozenset()


def test_another_mask_or_interface_is_another_address_and_the_new_one_comes_first() -> None:
    wider = Address(VIP.address, 16, VIP.interface, VIP.label)
    steps = next_steps([wider], [VIP], [VIP])
    assert (steps.add, steps.remove) == ((wider,), (VIP,))


def test_another_label_is_put_on_our_own_address_and_not_on_a_foreign_one() -> None:
    renamed = Address(VIP.address, VIP.prefix, VIP.interface, "eth1:9")
    steps = next_steps([renamed], [VIP], [VIP])
    assert steps.relabel == (renamed,)
    assert steps.add == (renamed,)
    assert steps.relabel[0].label == "eth1:9"
    assert next_steps([renamed], [], [VIP]).idle


def test_no_label_and_the_interface_as_label_are_the_same_and_ipv6_has_none() -> None:
    plain = Address(VIP.address, VIP.prefix, VIP.interface, VIP.interface)
    bare = Address(VIP.address, VIP.prefix, VIP.interface, "")
    assert next_steps([plain], [bare], [bare]).idle
    assert next_steps([SIX], [SIX], [Address(SIX.address, 64, "eth1")]).idle


POOL = st.sampled_from([VIP, OTHER, NAT, SIX, Address(VIP.address, 32, "lo"), Address("192.0.2.100", 24, "eth1", "eth1:7")])
SOME = st.lists(POOL, max_size=6)


@given(SOME, SOME, SOME)
def test_steps_lead_to_what_is_wanted_and_leave_foreign_addresses_alone(
    wanted: list[Address], owned: list[Address], present: list[Address]
) -> None:
    steps = next_steps(wanted, owned, present)
    foreign = set(present) - set(owned)
    after = ((set(present) - set(steps.relabel)) | set(steps.add)) - set(steps.remove)
    assert set(wanted) <= after
    assert foreign <= after
    assert not set(steps.remove) & set(wanted)
    assert set(steps.add) <= steps.owned
    again = next_steps(wanted, steps.owned & after, after)
    assert again.remove == ()
    assert set(again.add) <= set(again.relabel)


def at(schedule: Announcements, seconds: list[float]) -> list[float]:
    return [second for second in seconds if schedule.due(second)]


def test_a_new_address_is_announced_at_once_then_five_times_in_all_then_slowly() -> None:
    schedule = Announcements()
    schedule.carry([VIP], 0)
    assert at(schedule, [half / 2 for half in range(400)]) == [0, 1, 2, 3, 4, 4 + REFRESH_S, 4 + 2 * REFRESH_S, 4 + 3 * REFRESH_S]


def test_all_addresses_are_announced_in_one_pass() -> None:
    schedule = Announcements()
    schedule.carry([VIP, NAT, SIX], 10)
    assert set(schedule.due(10)) == {VIP, NAT, SIX}
    assert schedule.due(10.5) == ()
    assert schedule.next_at() == 11


def test_carrying_the_same_addresses_starts_nothing_over() -> None:
    schedule = Announcements()
    schedule.carry([VIP], 0)
    schedule.due(0)
    schedule.carry([VIP, OTHER], 0.5)
    assert schedule.due(0.5) == (OTHER,)


def test_an_address_that_left_is_not_announced() -> None:
    schedule = Announcements()
    schedule.carry([VIP], 0)
    schedule.carry([], 0.5)
    assert schedule.due(5) == ()
    assert schedule.next_at() is None


def test_asking_again_starts_the_burst_over() -> None:
    schedule = Announcements()
    schedule.carry([VIP], 0)
    for second in range(6):
        schedule.due(second)
    schedule.again([VIP, NAT], 20)
    assert at(schedule, [20, 21, 22, 23, 24, 25, 26]) == [20, 21, 22, 23, 24]


def test_a_late_look_does_not_make_up_for_what_was_missed() -> None:
    schedule = Announcements()
    schedule.carry([VIP], 0)
    assert schedule.due(100) == (VIP,)
    assert [schedule.due(100.0 + step) for step in range(5)].count((VIP,)) <= 4
    assert schedule.next_at() == 103 + REFRESH_S
