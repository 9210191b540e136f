"""DOCTOR: the page, what it says of each real server, and what it does while it looks, is refused, or the agent is away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from app.doctor import view
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Seen
from lvsagent.wire import DoctorFinding, DoctorReport, DoctorResult
from tests.fakes.agent import NOW, TUTORIAL, FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import post

URL = "/virtual-servers/http/doctor"
DIRECT = TUTORIAL.replace("network = nat", "network = direct")
SILENT = Heard(Answer.SILENCE)
MISSING = Seen(service=SILENT, ping=SILENT, mtu=1500, room=1500, director="10.11.12.11")


@pytest.fixture(autouse=True)
def direct(agent: FakeAgent) -> None:
    agent.text = DIRECT


def test_real_server_leads_to_it(client: FlaskClient) -> None:
    page = client.get("/virtual-servers/http/real-servers").text
    assert page.count(f'href="{URL}"') == 2, "the tab, and beside the table's buttons"


def test_says_that_nobody_has_looked_yet(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    assert "Not looked at yet" in page.words
    assert "examine" not in agent.asked, "to look at a page looks at nobody"


def test_look_now_shows_what_is_missing_how_sure_it_is_and_what_to_run(client: FlaskClient, agent: FakeAgent) -> None:
    agent.room.sights["number2"] = MISSING
    agent.room.sights["number3"] = replace(
        MISSING, ping=Heard(Answer.ACCEPTED, "192.0.2.100"), service=Heard(Answer.REFUSED, "192.0.2.100")
    )
    page = visit(client, URL).press("LOOK NOW")
    assert "something is wrong on 2" in page.words
    assert "3 of 3 real servers looked at" in page.words
    assert "by piranha" in page.words
    assert "number2 10.11.12.22 · Direct Routing wrong most likely It does not answer a connection to 192.0.2.100 port 80" in page.words
    assert "Run on number2: sysctl -w net.ipv4.conf.all.arp_ignore=1" in page.words
    assert "ip address replace 192.0.2.100/32 dev lo" in page.words
    assert "So that it stays so when number2 is started again" in page.words
    assert "wrong seen from here It has 192.0.2.100, and nothing listens there on port 80" in page.words
    assert "ALL THAT CAN BE SEEN IS IN ORDER number1" in page.words


def test_says_so_when_nothing_is_missing(client: FlaskClient) -> None:
    page = visit(client, URL).press("LOOK NOW")
    assert "nothing is wrong" in page.words
    assert "number1 number2 number3" in page.words


def test_shows_how_far_it_is_and_comes_again_by_itself_with_and_without_javascript(client: FlaskClient, agent: FakeAgent) -> None:
    agent.room.held = True
    page = visit(client, URL).press("LOOK NOW")
    assert "2 of 3 real servers looked at" in page.words
    html = client.get(URL).text
    assert f'<noscript><meta http-equiv="refresh" content="2;url={URL}?auto=1"></noscript>' in html
    assert f'hx-get="{URL}"' in html
    assert page.form_with("LOOK NOW").buttons["LOOK NOW"][1], "one at a time"
    other = visit(client, "/virtual-servers/https/doctor")
    assert "the real servers of http are being looked at" in other.words
    agent.room.finish()
    html = client.get(URL).text
    assert ("http-equiv" in html, "hx-get" in html) == (False, False)


def test_a_refusal_is_said_on_the_page(client: FlaskClient, agent: FakeAgent) -> None:
    agent.userspace = True
    page = visit(client, URL).press("LOOK NOW")
    assert page.status == 502
    assert "the demonstration data plane passes connections on by itself" in page.words


def test_an_examination_that_failed_says_why(client: FlaskClient, agent: FakeAgent) -> None:
    agent.room.failure = "looking at real servers takes raw packets"
    page = visit(client, URL).press("LOOK NOW")
    assert "Looking at real servers takes raw packets" in page.words
    assert "not all could be looked at" in page.words


def test_says_that_lvs_cf_has_changed_since(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("LOOK NOW")
    agent.text = DIRECT.replace("weight = 1", "weight = 2", 1)
    assert "lvs.cf has changed since these were looked at." in visit(client, URL).words


def test_is_readable_while_the_agent_is_down(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL)
    agent.down = True
    page = visit(client, URL)
    assert page.status == 200
    assert page.form_with("LOOK NOW").buttons["LOOK NOW"][1]


def test_a_second_virtual_server_of_the_same_name_needs_its_own(client: FlaskClient, agent: FakeAgent) -> None:
    agent.text = DIRECT.replace("virtual https", "virtual http")
    page = visit(client, "/virtual-servers/http~2/doctor").press("LOOK NOW")
    assert (page.status, "Give this one a name of its own" in page.words) == (422, True)
    assert "examine" not in agent.asked


def test_needs_a_token_and_a_virtual_server(client: FlaskClient, agent: FakeAgent) -> None:
    assert client.post(URL).status_code == 400
    assert client.get("/virtual-servers/nowhere/doctor").status_code == 404
    assert post(client, "/virtual-servers/nowhere/doctor").status_code == 404
    assert "examine" not in agent.asked


def test_names_and_words_are_shown_and_never_obeyed(client: FlaskClient, agent: FakeAgent) -> None:
    hostile = "<script>alert(1)</script>"
    agent.text = DIRECT.replace("server number2", f'server "{hostile}"')
    agent.room.sights[hostile] = Seen(reason=f"{hostile} said so")
    page = visit(client, URL).press("LOOK NOW")
    html = client.get(URL).text
    assert f"{hostile} said so" in page.words
    assert hostile not in html


# --- the words, without the page -----------------------------------------------------------------------------------------------


def finding(*, wrong: bool = True, sure: str = "seen") -> DoctorFinding:
    return DoctorFinding(words="so it is", commands=["ip link"], wrong=wrong, sure=sure)


def done(*results: DoctorResult, **changes: object) -> DoctorReport:
    values = {"state": "done", "total": len(results), "looked": len(results), "began_at": NOW - 3, "ended_at": NOW, **changes}
    return DoctorReport(virtual="http", results=list(results), **values)  # type: ignore[arg-type]  # its own fields


def test_what_is_wrong_comes_before_what_is_worth_knowing() -> None:
    remark, wrong = (
        DoctorResult(server=name, address="10.0.0.1", forwarding="tunnel", findings=[found])
        for name, found in (
            ("remark", finding(wrong=False, sure="possible")),
            ("wrong", finding()),
        )
    )
    found = view(done(remark, wrong), NOW)
    assert [row.title for row in found.rows] == ["wrong", "remark"]
    assert [(one.badge.word, one.badge.kind, one.lead) for row in found.rows for one in row.findings] == [
        ("wrong", "down", "Run on wrong:"),
        ("worth knowing", "idle", "If that happens, run on remark:"),
    ]
    assert view(done(remark), NOW).verdict.word == "nothing is wrong"


def test_a_thousand_servers_that_lack_the_same_are_one_row() -> None:
    many = [DoctorResult(server=f"web{n}", address=f"10.0.0.{n}", forwarding="direct", findings=[finding()]) for n in range(1, 6)]
    other = replace_forwarding(many[0], "tunnel")
    found = view(done(*many, other), NOW)
    assert [(row.title, len(row.servers), row.findings[0].lead) for row in found.rows] == [
        ("web1, web2 and 3 more", 5, "Run on each of them:"),
        ("web1", 1, "Run on web1:"),
    ]
    assert view(done(*many[:3]), NOW).rows[0].title == "web1, web2, web3"


def replace_forwarding(result: DoctorResult, forwarding: str) -> DoctorResult:
    return DoctorResult(server=result.server, address=result.address, forwarding=forwarding, findings=result.findings)


def test_nobody_to_look_at_is_no_good_news() -> None:
    assert view(done(), NOW).verdict.word == "not looked at"
    assert view(done(problems=["it has no address"]), NOW).verdict.word == "not all could be looked at"
