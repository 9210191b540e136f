"""Two lvsd processes over real sshd, and all that can go wrong between them: afterwards both files are whole, and both lamps are right."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from lvsagent.core.introduction import fingerprint
from tests.integration.sync_lab import PAIR
from tests.integration.sync_processes import LIMIT_S, Both, both
from tests.integration.test_sync import changed
from tests.sshd import AT, needs_sshd
from tests.waiting import until

pytestmark = [pytest.mark.root, needs_sshd]

LARGE_BYTES = 2 * 1024 * 1024
DAY_S = 86_400.0
PUSHES = 500


@pytest.fixture
def pair() -> Iterator[Both]:
    with both() as found:
        yield found


def large(number: int) -> str:
    """An lvs.cf of two megabytes."""
    return changed(number) + "".join(f"# {secrets.token_hex(60)}\n" for _ in range(LARGE_BYTES // 123))


def away(pair: Both, behind: int) -> None:
    """Wait until lefty knows that righty is not there, and how far it is behind."""
    until(lambda: not (info := pair.lefty.sync()).reachable and info.state == "behind", LIMIT_S, pair.words)
    info = pair.lefty.sync()
    assert (info.behind, info.equal) == (behind, False)
    assert f"behind by {behind}" in info.words
    assert [one.code for one in info.differences] == ["peer-behind"]


def test_a_changed_host_key_is_said_with_both_fingerprints_and_nothing_travels(pair: Both) -> None:
    sshd = pair.righty.sshd
    pinned = fingerprint(sshd.keys.own_host_key())
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    pair.lefty.accept(changed(2))
    until(lambda: pair.lefty.sync().state == "refused", LIMIT_S, pair.words)
    info = pair.lefty.sync()
    assert pinned in info.words
    assert fingerprint(sshd.keys.own_host_key()) in info.words
    assert (info.equal, [one.code for one in info.differences]) == (False, ["peer-behind"])
    assert (pair.lefty.text(), pair.righty.text()) == (changed(2), PAIR)
    pair.whole()


def test_a_key_that_the_other_one_does_not_know_is_said_and_pairing_again_mends_it(pair: Both) -> None:
    keys = pair.lefty.sshd.keys
    known = keys.private_key.read_bytes(), keys.own_user_key()
    keys.install_key(*keys.fresh_key())
    pair.lefty.accept(changed(2))
    until(lambda: pair.lefty.sync().state == "refused", LIMIT_S, pair.words)
    assert "does not take this director's key" in pair.lefty.sync().words
    assert pair.righty.text() == PAIR
    pair.whole()
    keys.install_key(*known)
    pair.in_step(changed(2))


@pytest.mark.parametrize("who", ["lvsd", "sshd"])
def test_one_that_is_stopped_in_its_tracks_is_waited_for_by_nobody_and_catches_up(pair: Both, who: str) -> None:
    assert pair.righty.process is not None
    pids = [pair.righty.process.pid] if who == "lvsd" else pair.righty.sshd.sessions()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for number in (2, 3, 4):
        began = time.monotonic()
        pair.lefty.accept(changed(number))
        assert time.monotonic() - began < 1
    info = pair.lefty.sync()
    assert (info.state, info.behind) == ("behind", 3)
    assert pair.righty.text() == PAIR
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    pair.in_step(changed(4))


@pytest.mark.parametrize("sent", [1, 1_500_000])
@pytest.mark.parametrize("how", ["cut", "silent", "killed", "sshd killed"])
def test_a_transfer_that_breaks_off_in_the_middle_leaves_the_old_file_whole_and_is_made_again(pair: Both, how: str, sent: int) -> None:
    wire, righty = pair.wire, pair.righty
    pair.lefty.sshd.stop()  # else righty would fetch what does not come
    wire.break_after(sent, {"cut": wire.cut, "silent": wire.fall_silent, "killed": righty.kill, "sshd killed": righty.sshd.stop}[how])
    text = large(2)
    pair.lefty.accept(text)
    assert wire.broken.wait(LIMIT_S), pair.words()
    if how in ("silent", "sshd killed"):
        away(pair, 1)
        assert righty.text() == PAIR
        pair.whole()
    wire.mend()
    pair.lefty.sshd.start()
    if how == "killed":
        assert righty.text() == PAIR
        righty.start()
    elif how == "sshd killed":
        righty.sshd.start()
    pair.in_step(text)


def test_a_full_disk_there_is_said_and_what_did_not_fit_comes_when_there_is_room() -> None:
    with both(disks=True) as pair:
        for number, folder in enumerate((pair.righty.lvs_cf.parent, pair.righty.sshd.settings.state_dir), start=2):
            with pair.righty.full(folder):
                pair.lefty.accept(changed(number))
                until(lambda: pair.lefty.sync().state == "refused", LIMIT_S, pair.words)
                assert "no space left" in pair.lefty.sync().words or "full" in pair.lefty.sync().words
                assert pair.righty.text() == changed(number - 1)
                assert not pair.lefty.sync().equal
            pair.lefty.client.sync_action("now")
            pair.in_step(changed(number))


def test_an_edit_by_hand_there_travels_here(pair: Both) -> None:
    pair.righty.lvs_cf.write_text(changed(2) + "# by hand\n")
    until(lambda: pair.lefty.text() == changed(2) + "# by hand\n", LIMIT_S, pair.words)
    pair.in_step(changed(2) + "# by hand\n")


def test_an_edit_by_hand_there_while_it_was_away_is_never_overwritten(pair: Both) -> None:
    pair.righty.kill()
    by_hand = PAIR + "# by hand\n"
    pair.righty.lvs_cf.write_text(by_hand)
    pair.lefty.accept(changed(2))
    pair.righty.start()
    pair.until("diverged", "diverged")
    assert (pair.lefty.text(), pair.righty.text()) == (changed(2), by_hand)
    pair.whole()


def test_edited_on_both_while_apart_is_said_on_both_and_joined(pair: Both) -> None:
    for one in pair:
        one.sshd.stop()
    pair.lefty.accept(changed(2, PAIR.replace("weight = 1", "weight = 5", 1)))
    pair.righty.accept(changed(2, PAIR.replace("scheduler = rr", "scheduler = wlc")))
    for one in pair:
        one.sshd.start()
    pair.until("diverged", "diverged")
    pair.whole()
    assert "weight = 5" in pair.lefty.text()
    assert "wlc" in pair.righty.text()
    for one in pair:
        assert (info := one.sync()).equal is False
        assert "diverged" in [each.code for each in info.differences]
    until(pair.righty.client.conflict, LIMIT_S, pair.words)
    found = pair.righty.client.conflict()
    assert found is not None
    merged = changed(3, PAIR.replace("weight = 1", "weight = 5", 1).replace("scheduler = rr", "scheduler = wlc"))
    pair.righty.accept(merged, joins=found.there.head)
    pair.in_step(merged)


@pytest.mark.parametrize("off_s", [-DAY_S, DAY_S])
def test_a_clock_a_day_off_matters_to_nothing(off_s: float) -> None:
    with both(clock_off_s=off_s) as pair:
        assert abs(pair.righty.client.state().at - pair.lefty.client.state().at - off_s) < 60
        pair.righty.accept(changed(2))
        pair.in_step(changed(2))
        pair.lefty.accept(changed(3))
        pair.in_step(changed(3))


@pytest.mark.timeout(300)
def test_500_pushes_in_a_row_each_arrive(pair: Both) -> None:
    etag, longest = pair.lefty.client.config().etag, 0.0
    for number in range(2, PUSHES + 2):
        began = time.monotonic()
        etag = pair.lefty.client.put_config(changed(number), if_match=etag).etag
        until(lambda: pair.righty.text() == changed(number), LIMIT_S, pair.words)  # noqa: B023 -- called in this round
        longest = max(longest, time.monotonic() - began)
    print(f"the slowest of {PUSHES} took {longest * 1000:.0f} ms")
    pair.in_step(changed(PUSHES + 1))
    assert pair.righty.client.history().total == PUSHES + 1


def test_pairing_again_with_another_key_goes_on_where_it_was(pair: Both) -> None:
    keys = pair.lefty.sshd.keys
    keys.install_key(*keys.fresh_key())
    pair.righty.sshd.keys.keep(keys.introduce("lefty", ("127.0.0.1",)), AT)
    pair.lefty.accept(changed(2))
    pair.in_step(changed(2))
