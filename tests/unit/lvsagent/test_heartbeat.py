"""The heartbeat's datagram and the door: what is taken, once, and what is not, whoever sends it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.failover import Beat
from lvsagent.core.heartbeat import SIZE, WINDOW_US, Datagram, Door, Echo, Keys, Refusal, Refused, Taken, decode, encode, key_name
from lvsagent.core.lateness import Lateness

KEYS = Keys(bytes(range(32)))
OTHER = bytes(range(1, 33))
LEFTY, RIGHTY, EARLIER = "aa" * 16, "bb" * 16, "cc" * 16
SECOND = 1_000_000
DAY = 24 * 3600 * SECOND
PATIENCE = SECOND

boot_ids = st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex)
counts = st.integers(0, 2**32 - 1)
stamps = st.integers(0, 2**64 - 1)
seconds = st.floats(0, 1e9)
beats = st.builds(
    Beat,
    identity=st.sampled_from(["primary", "backup", "unknown"]),
    boot_id=boot_ids,
    number=stamps,
    role=st.sampled_from(["starting", "standby", "active", "stopped"]),
    confirmed=st.booleans(),
    stepping_down=st.booleans(),
    maintenance=st.booleans(),
    links_whole=st.booleans(),
    fit=st.booleans(),
    wants_role=st.booleans(),
    role_for_s=seconds,
    deadtime_s=seconds,
    heard_boot_id=st.just("") | boot_ids,
    heard_number=stamps,
    hears=st.sampled_from([(), ("public",), ("private",), ("public", "private")]),
    serial=st.integers(-(2**63), 2**63 - 1),
    up=counts,
    total=counts,
)
datagrams = st.builds(
    Datagram,
    path=st.sampled_from(["public", "private"]),
    beat=beats,
    stamp=stamps,
    count=counts,
    echo=st.just(Echo()) | st.builds(Echo, boot_ids, stamps),
    heard_ms=st.none() | st.integers(0, 2**32 - 2),
    keepalive_s=seconds,
    wall=seconds,
    yielded_s=seconds,
    version=st.text("0123456789.abc", max_size=24),
    name=st.text("abcdef-", max_size=32),
)


def beat(boot_id: str = RIGHTY, **more: object) -> Beat:
    return replace(Beat(identity="backup", boot_id=boot_id, number=1), **more)  # type: ignore[arg-type]


def datagram(stamp: int, *, echo: Echo | None = None, boot_id: str = RIGHTY, path: str = "public") -> bytes:
    return encode(Datagram(path=path, beat=beat(boot_id), stamp=stamp, echo=echo or Echo()), KEYS)


def take(door: Door, data: bytes, now: int, path: str = "public", keys: Keys = KEYS) -> Taken | Refused:
    return door.take(data, keys, path, now, PATIENCE)


def reason(result: Taken | Refused) -> Refusal | None:
    return result.reason if isinstance(result, Refused) else None


def acquainted(now: int = 100 * SECOND, theirs: int = DAY) -> Door:
    """lefty's door, which righty has just come through; righty's clock is ``theirs``."""
    door = Door(LEFTY, now - SECOND)
    assert reason(take(door, datagram(theirs, echo=Echo(LEFTY, now)), now)) is None
    return door


class TestWords:
    @given(datagrams)
    def test_what_is_said_is_what_is_heard(self, said: Datagram) -> None:
        data = encode(said, KEYS)
        assert len(data) == SIZE
        assert decode(data, KEYS) == (said, True)

    @given(st.integers(), st.integers(), st.integers())
    def test_numbers_too_large_are_cut_and_never_an_error(self, serial: int, up: int, heard_ms: int) -> None:
        heard = decode(encode(Datagram(path="public", beat=beat(serial=serial, up=up), stamp=1, heard_ms=heard_ms), KEYS), KEYS)
        assert isinstance(heard, tuple)

    def test_a_datagram_fits_every_link(self) -> None:
        assert SIZE < 508

    def test_the_name_of_a_key_does_not_give_it_away(self) -> None:
        assert len(key_name(OTHER)) == 8
        assert key_name(OTHER) != key_name(KEYS.present)
        assert key_name(OTHER) not in OTHER.hex()


class TestWhatIsNotOne:
    @given(st.binary(max_size=2 * SIZE))
    def test_no_bytes_raise_or_change_anything(self, data: bytes) -> None:
        door = acquainted()
        assert isinstance(take(door, data, 101 * SECOND), Refused)
        assert door.echo == Echo(RIGHTY, DAY)
        assert reason(take(door, datagram(DAY + SECOND), 101 * SECOND)) is None

    @given(st.binary(max_size=SIZE), st.sampled_from([b"LVSp", b"LVSp\x01"]))
    def test_nor_do_those_that_begin_well(self, data: bytes, start: bytes) -> None:
        door = acquainted()
        assert isinstance(take(door, start + data, 101 * SECOND), Refused)
        assert door.echo == Echo(RIGHTY, DAY)

    @given(st.integers(0, SIZE - 65), st.integers(1, 255))
    def test_one_wrong_byte_in_what_is_said_is_enough(self, place: int, change: int) -> None:
        data = bytearray(datagram(DAY + 1))
        data[place] ^= change
        assert isinstance(take(acquainted(), bytes(data), 101 * SECOND), Refused)

    @given(st.integers(0, 31), st.integers(1, 255))
    def test_or_in_both_signatures(self, place: int, change: int) -> None:
        data = bytearray(datagram(DAY + 1))
        data[place - 64] ^= change
        data[place - 32] ^= change
        assert reason(take(acquainted(), bytes(data), 101 * SECOND)) is Refusal.FORGED

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", Refusal.TRUNCATED),
            (b"LVS", Refusal.TRUNCATED),
            (datagram(1)[:-1], Refusal.TRUNCATED),
            (datagram(1) + b"\0", Refusal.OVERSIZED),
            (b"GET / HTTP/1.0\r\n\r\n", Refusal.FOREIGN),
            (b"\0\0\0\0", Refusal.TRUNCATED),
            (b"LVSp\x02" + bytes(300), Refusal.VERSION),
        ],
    )
    def test_each_is_refused_for_its_reason(self, data: bytes, why: Refusal) -> None:
        assert reason(take(acquainted(), data, 101 * SECOND)) is why

    def test_a_wrong_key(self) -> None:
        assert reason(take(acquainted(), datagram(DAY + 1), 101 * SECOND, keys=Keys(OTHER))) is Refusal.FORGED

    def test_our_own_words_sent_back(self) -> None:
        assert reason(take(acquainted(), datagram(DAY + 1, boot_id=LEFTY), 101 * SECOND)) is Refusal.OWN

    def test_a_datagram_carried_over_to_the_other_link(self) -> None:
        assert reason(take(acquainted(), datagram(DAY + 1), 101 * SECOND, path="private")) is Refusal.OTHER_PATH


class TestKeys:
    def test_a_change_of_key_loses_no_beat_whichever_side_is_first(self) -> None:
        old, both, new = Keys(OTHER), Keys(KEYS.present, OTHER), Keys(KEYS.present)
        said = Datagram(path="public", beat=beat(), stamp=1)
        for sender, receiver in [(old, old), (both, old), (old, both), (both, both), (new, both), (both, new), (new, new)]:
            assert isinstance(decode(encode(said, sender), receiver), tuple)
        assert decode(encode(said, old), new) is Refusal.FORGED

    def test_it_is_known_when_the_other_one_has_the_present_key(self) -> None:
        said = Datagram(path="public", beat=beat(), stamp=1)
        both = Keys(KEYS.present, OTHER)
        assert decode(encode(said, Keys(OTHER)), both) == (said, False)
        assert decode(encode(said, KEYS), both) == (said, True)


class TestFreshness:
    def test_nobody_is_known_at_first_but_may_prove_itself(self) -> None:
        door = Door(LEFTY, 100 * SECOND)
        refused = take(door, datagram(7), 101 * SECOND)
        assert refused == Refused(Refusal.UNPROVEN, Echo(RIGHTY, 7))
        assert door.echo == Echo()
        taken = take(door, datagram(8, echo=Echo(LEFTY, 101 * SECOND)), 101 * SECOND)
        assert isinstance(taken, Taken)
        assert taken.newcomer
        assert door.echo == Echo(RIGHTY, 8)

    @pytest.mark.parametrize(
        "echo",
        [
            Echo(),
            Echo(EARLIER, 101 * SECOND),
            Echo(LEFTY, 100 * SECOND),
            Echo(LEFTY, 102 * SECOND),
        ],
        ids=["nothing", "another's stamp", "from before we came", "from the future"],
    )
    def test_what_proves_nothing(self, echo: Echo) -> None:
        assert reason(take(Door(LEFTY, 100 * SECOND), datagram(8, echo=echo), 101 * SECOND)) is Refusal.UNPROVEN

    def test_an_old_proof_is_none(self) -> None:
        door = Door(LEFTY, 100 * SECOND)
        assert reason(take(door, datagram(8, echo=Echo(LEFTY, 101 * SECOND)), 103 * SECOND)) is Refusal.UNPROVEN

    @given(st.lists(st.integers(0, 40), max_size=60))
    def test_each_is_taken_once_in_whatever_order_they_come(self, order: list[int]) -> None:
        door = acquainted()
        taken = [place for place in order if reason(take(door, datagram(DAY + 1 + place * 1000), 100 * SECOND + 50_000)) is None]
        assert sorted(taken) == sorted(set(order))

    def test_what_was_overtaken_long_ago_is_not_taken(self) -> None:
        door = acquainted()
        later = 2 * WINDOW_US
        assert reason(take(door, datagram(DAY + later), 100 * SECOND + later)) is None
        assert reason(take(door, datagram(DAY + 5), 100 * SECOND + later)) is Refusal.REPLAYED

    def test_one_that_was_held_up_on_its_way_is_stale(self) -> None:
        door = acquainted()
        assert reason(take(door, datagram(DAY + SECOND), 103 * SECOND)) is Refusal.STALE
        assert reason(take(door, datagram(DAY + 3 * SECOND), 103 * SECOND)) is None

    def test_an_earlier_boot_cannot_come_back(self) -> None:
        """All that was recorded of it returns stamps from before its successor was known."""
        door = Door(LEFTY, 100 * SECOND)
        recorded = [datagram(DAY + n, echo=Echo(LEFTY, 101 * SECOND + n), boot_id=EARLIER) for n in range(5)]
        assert reason(take(door, recorded[0], 101 * SECOND + 10)) is None
        assert reason(take(door, datagram(3, echo=Echo(LEFTY, 101 * SECOND + 20)), 101 * SECOND + 30)) is None
        assert {reason(take(door, data, 101 * SECOND + 40)) for data in recorded} == {Refusal.UNPROVEN}
        assert door.echo == Echo(RIGHTY, 3)

    def test_yesterdays_datagrams_prove_nothing_to_a_pulse_that_was_restarted(self) -> None:
        recorded = [datagram(DAY + n, echo=Echo(LEFTY, 101 * SECOND)) for n in range(5)]
        restarted = Door(EARLIER, 200 * SECOND)
        assert {reason(take(restarted, data, 201 * SECOND)) for data in recorded} == {Refusal.UNPROVEN}

    @pytest.mark.parametrize("apart", [-DAY, 0, DAY], ids=["a day behind", "equal", "a day ahead"])
    def test_clocks_may_be_apart(self, apart: int) -> None:
        start = 2 * DAY
        door = acquainted(start, start + apart)
        for second in range(1, 100):
            assert reason(take(door, datagram(start + apart + second * SECOND), start + second * SECOND)) is None

    def test_clocks_may_drift(self) -> None:
        door = acquainted()
        for second in range(1, 20_000, 7):
            assert reason(take(door, datagram(DAY + int(second * SECOND * 0.9995)), (100 + second) * SECOND)) is None

    def test_a_machine_whose_clock_stood_still_proves_itself(self) -> None:
        door = acquainted()
        assert reason(take(door, datagram(DAY + 1), 200 * SECOND)) is Refusal.STALE
        assert reason(take(door, datagram(DAY + 2, echo=Echo(LEFTY, 200 * SECOND)), 200 * SECOND)) is None
        assert reason(take(door, datagram(DAY + 3), 200 * SECOND)) is None

    def test_so_does_one_that_was_put_back_to_an_earlier_moment(self) -> None:
        door = acquainted()
        back = DAY - 100 * SECOND
        refused = take(door, datagram(back), 101 * SECOND)
        assert refused == Refused(Refusal.REPLAYED, Echo(RIGHTY, back))
        assert reason(take(door, datagram(back + 1, echo=Echo(LEFTY, 101 * SECOND)), 101 * SECOND)) is None
        assert door.echo == Echo(RIGHTY, back + 1)

    def test_a_link_that_comes_later_starts_at_once(self) -> None:
        door = acquainted()
        assert reason(take(door, datagram(DAY + 1, path="private"), 101 * SECOND, path="private")) is None
        stale = datagram(DAY - 5 * SECOND, path="private")
        assert reason(take(acquainted(), stale, 101 * SECOND, path="private")) is Refusal.STALE


class TestLateness:
    def test_worst_and_usual(self) -> None:
        lateness = Lateness()
        for n in range(199):
            lateness.woke(n, n + 0.001)
        lateness.woke(199, 199.05)
        assert lateness.worst_s == pytest.approx(0.05)
        assert lateness.p99_s == pytest.approx(0.05)  # 61 wake-ups of the last minute
        assert "50 ms" in lateness.warning(0.1)
        assert lateness.warning(0.2) == ""

    def test_a_minute_later_it_is_forgotten(self) -> None:
        lateness = Lateness()
        lateness.woke(0, 5)
        lateness.woke(70, 70)
        assert lateness.worst_s == 0
        assert lateness.warning(0.1) == ""

    def test_nothing_measured_is_not_late(self) -> None:
        assert (Lateness().worst_s, Lateness().p99_s, Lateness().warning(0.02)) == (0, 0, "")

    def test_it_complains_once_a_minute(self) -> None:
        lateness = Lateness()
        said = [bool(lateness.complaint(second, second + late, 0.3)) for second, late in ((0, 0.05), (1, 0.2), (30, 0.9), (60, 0.2))]
        assert said == [False, True, False, False]
        assert lateness.complaint(70, 70.2, 0.3)
