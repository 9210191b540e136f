"""What a change did to the table, in a line of the history."""

from __future__ import annotations

import pytest

from app.lvscf.model import Protocol
from lvsagent.core.table import Counters, DeleteServer, Entry, Family, Operation, Server, ServerKey, Service, ServiceKey, SetServer
from lvsagent.lvsd.receipts import done_words

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
ONE, TWO = ServerKey("10.11.12.21", 80), ServerKey("10.11.12.22", 80)
TABLE = {
    HTTP: Entry(Service(), {ONE: Server(), TWO: Server()}, server_counters={ONE: Counters(active=7, inactive=2), TWO: Counters(inactive=4)})
}
WEIGHT, GONE = SetServer(HTTP, TWO, Server(weight=3)), DeleteServer(HTTP, ONE)


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ([], "no change to the table"),
        ([WEIGHT], "1 change to the table"),
        ([WEIGHT, GONE], "2 changes to the table, touching 7 open connections"),
    ],
)
def test_the_history_says_what_was_done_and_how_many_connections_that_touched(operations: list[Operation], words: str) -> None:
    assert done_words(operations, TABLE) == words
