"""A host's load in words: for the weight that it leaves, for a silence, and for the top of the page."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lvsagent.core.load_share import STALE_S, HostLoad, LoadShare
from lvsagent.lvsd.load_words import Heard, answered_again, load_alerts, load_info
from lvsagent.wire import LoadInfo

KEY, NOW, WALL = "uptime 10.11.12.21", 1000.0, 1_790_000_000.0
REFUSED = Heard(NOW - 3, "ssh: Connection refused", "refused")


def info(host: HostLoad | None = None, heard: Heard | None = None, share: LoadShare | None = None, *, overruled: bool = False) -> LoadInfo:
    return load_info(KEY, host, heard, share, (NOW, WALL), overruled=overruled)


FRESH, OLD = HostLoad(9.0, 9.5, NOW - 10), HostLoad(9.0, 9.5, NOW - STALE_S - 10)
SINCE = time.strftime("%H:%M:%S", time.localtime(WALL - STALE_S - 10))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "the load of its host is not known yet"),
        ({"heard": REFUSED}, "the load of its host cannot be read (ssh: Connection refused)"),
        ({"host": FRESH, "share": LoadShare(KEY, 0.2, 1.0)}, "load 9.00 by uptime, the others 1.00: 20% of its weight"),
        ({"host": FRESH, "share": LoadShare(KEY, 1.0, 12.0)}, "load 9.00 by uptime, the others 12.00"),
        ({"host": FRESH, "share": LoadShare(KEY, 1.0)}, "load 9.00 by uptime"),
        ({"host": FRESH, "heard": REFUSED, "share": LoadShare(KEY, 1.0)}, "load 9.00 by uptime"),
        ({"host": FRESH, "share": LoadShare("rup 10.11.12.21", 0.2, 1.0)}, "load 9.00 by uptime, the others 1.00"),
        (
            {"host": FRESH, "share": LoadShare(KEY, 0.2, 1.0), "overruled": True},
            "load 9.00 by uptime, the others 1.00: 20% of its weight; it does not count while an operator has decided about this server",
        ),
        ({"host": FRESH, "share": LoadShare(KEY, 1.0), "overruled": True}, "load 9.00 by uptime"),
        (
            {"host": OLD, "heard": REFUSED, "share": LoadShare(KEY, 0.4)},
            f"the load of its host is not known since {SINCE} (ssh: Connection refused): 40% of its weight for now, which grows back",
        ),
        ({"host": OLD, "share": LoadShare(KEY, 1.0)}, f"the load of its host is not known since {SINCE}"),
    ],
)
def test_words(given: dict[str, Any], words: str) -> None:
    assert info(**given).words == words


def test_an_old_load_is_shown_with_its_time_and_counts_no_more() -> None:
    found = info(OLD, REFUSED, LoadShare(KEY, 0.4))
    assert (found.load, found.damped, found.others, found.share_percent) == (9.5, None, None, 40)
    assert (found.at, found.tried_at) == (WALL - STALE_S - 10, WALL - 3)
    assert (found.monitor, found.host, found.reason, found.received) == ("uptime", "10.11.12.21", "ssh: Connection refused", "refused")


def test_one_alert_for_each_reason_however_many_hosts_it_has() -> None:
    failed = {f"uptime 10.0.0.{number}": Heard(0, f"ssh: connect to host 10.0.0.{number} port 22: No route", "") for number in range(1, 6)}
    failed["uptime 10.0.0.9"] = Heard(0, "ssh refused: the host's key is not in /k", "")
    messages = [alert.message for alert in load_alerts(failed)]
    many, one = messages
    assert many.startswith("the load of 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more hosts cannot be read and does not count: ssh: connect to")
    assert one == "the load of 10.0.0.9 cannot be read and does not count: ssh refused: the host's key is not in /k"
    assert load_alerts({}) == []


def test_alerts_about_many_reasons_end_somewhere() -> None:
    messages = [alert.message for alert in load_alerts({f"rup web{number}": Heard(0, f"reason {number}.", "") for number in range(9)})]
    assert len(messages) == 4
    assert messages[-1] == "the load of 6 more hosts cannot be read and does not count: for other reasons"


def test_hosts_that_answer_again_are_named() -> None:
    assert answered_again(["uptime 10.0.0.2", "uptime 10.0.0.1"]) == "the load of 10.0.0.1, 10.0.0.2 can be read again"
