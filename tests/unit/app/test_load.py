"""A host's load in the console: beside the weight that it leaves, with its source, and what the last reading said."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.wire import LoadInfo
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.test_control import words

TABLE = "/virtual-servers/http/real-servers"
EXPLAIN = "/virtual-servers/http/monitoring-scripts?results=http/number1"
BUSY = LoadInfo(
    monitor="uptime",
    host="10.11.12.21",
    words="load 9.00 by uptime, the others 1.00: 20% of its weight",
    load=9.5,
    damped=9.0,
    others=1.0,
    share_percent=20,
    at=1e9,
    tried_at=1e9,
    received=" 18:01:14 up 3 days,  4:10,  2 users,  load average: 9.50, 0.80, 1.06",
)
CALM = LoadInfo(
    monitor="uptime", host="10.11.12.22", words="load 1.00 by uptime, the others 9.00", load=1.0, damped=1.0, at=1e9, tried_at=1e9
)
SILENT = LoadInfo(
    monitor="uptime",
    host="10.11.12.23",
    words="the load of its host cannot be read (ssh refused: <b>)",
    tried_at=1e9,
    reason="ssh refused: <b>",
    received="<script>",
)


@pytest.fixture
def loaded(agent: FakeAgent) -> FakeAgent:
    agent.edit_by_hand(TUTORIAL.replace("weight = 1\n", "weight = 100\n"))
    agent.loads = {"http/number1": BUSY, "http/number2": CALM, "http/number3": SILENT}
    return agent


def test_real_server_shows_both_weights_and_the_load_with_its_source(client: FlaskClient, loaded: FakeAgent) -> None:
    page = visit(client, TABLE).words
    assert "up number1 10.11.12.21 80 100 20" in page
    assert page.count("load 9.00 by uptime, the others 1.00: 20% of its weight") == 1
    assert "up number2 10.11.12.22 80 100 100" in page
    assert "load 1.00 by uptime, the others 9.00" in page
    assert "the load of its host cannot be read (ssh refused: <b>)" in page


def test_the_routing_table_shows_the_load_beside_the_weight(client: FlaskClient, loaded: FakeAgent) -> None:
    page = client.get("/control").text
    assert "20 (100) load 9.00" in words(page)
    assert "load 9.00 by uptime, the others 1.00: 20% of its weight" in words(page)
    assert "100 load 1.00" in words(page)
    assert "100 load ?" in words(page)
    assert 'title="in force: 100, configured: 100; load 1.00 by uptime, the others 9.00"' in page
    assert "ssh refused: <b>" not in page


def test_without_load_monitor_nothing_is_said_of_loads(client: FlaskClient, agent: FakeAgent) -> None:
    assert "load " not in visit(client, TABLE).words.partition("Real servers;")[2]
    assert "load ?" not in words(client.get("/control").text)


def test_explain_tells_the_last_reading(client: FlaskClient, loaded: FakeAgent) -> None:
    page = visit(client, EXPLAIN).words
    assert "Its weight: load 9.00 by uptime, the others 1.00: 20% of its weight." in page
    assert "10.11.12.21 was last asked by uptime at" in page
    assert "its load is 9.50." in page
    assert "load average: 9.50, 0.80, 1.06" in page


def test_explain_tells_why_there_is_no_reading_and_shows_what_came_as_text(client: FlaskClient, loaded: FakeAgent) -> None:
    page = visit(client, EXPLAIN.replace("number1", "number3"))
    assert "ssh refused: <b>." in page.words
    assert "What came back: <script>" in page.words
    assert "<script>" not in page.html.partition("LAST RESULTS OF")[2].partition("</section>")[0]
