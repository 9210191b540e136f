"""VIRTUAL SERVERS: the table, adding, activating, deleting."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.wire import CountersInfo
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/virtual-servers"
NEW = {"name": "smtp", "vip": "192.0.2.101", "device": "eth1:2", "port": "25"}


def many(count: int) -> str:
    return TUTORIAL + "".join(
        f"virtual service{n} {{\n     address = 198.51.100.{n % 250} eth1:9\n"
        f"     server only{n} {{\n         address = 10.0.0.1\n     }}\n}}\n"
        for n in range(count)
    )


def test_shows_each_virtual_server_with_state_and_connections(client: FlaskClient, agent: FakeAgent) -> None:
    agent.count("http", "", CountersInfo(active=1200, inactive=34))
    agent.mark_down("http", "number2")
    page = visit(client, URL)
    assert "up http 192.0.2.100 255.255.255.0 80 tcp eth1:1 2/3 1,234" in page.words
    assert "inactive https 192.0.2.100 255.255.255.0 443 tcp eth1:1 0/2 0" in page.words
    for heading in ("STATUS", "NAME", "VIP", "NETMASK", "PORT", "PROTOCOL", "INTERFACE"):
        assert heading in page.words


def test_a_virtual_server_that_the_kernel_refused_is_failed_with_why(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark("http", "", "failed", "scheduler mh: module missing")
    assert "failed scheduler mh: module missing http" in visit(client, URL).words


def test_down_says_why(client: FlaskClient, agent: FakeAgent) -> None:
    for server in ("number1", "number2", "number3"):
        agent.mark_down("http", server)
    assert "down No real server is up. http" in visit(client, URL).words


def test_without_any_says_how_to_begin(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("primary = 192.0.2.1\n")
    page = visit(client, URL)
    assert "There is no virtual server yet. ADD makes one" in page.words
    assert page.press("ADD").words.count("A new virtual server")


def test_is_paged_and_searchable(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(120))
    page = visit(client, URL)
    assert "page 1 of 3" in page.words
    assert "service60" not in page.words
    assert "service60" in visit(client, f"{URL}?page=2").words
    assert "1 of 122 match" in visit(client, f"{URL}?q=SERVICE77").words
    assert "service99" in visit(client, f"{URL}?q=only99").words
    assert "No virtual server has “nobody”" in visit(client, f"{URL}?q=nobody").words


@pytest.mark.parametrize("query", ["?page=0", "?page=-3", "?page=999", "?page=x", "?q=%00%ff", "?accepted=x"])
def test_odd_questions_get_a_page(client: FlaskClient, query: str) -> None:
    assert visit(client, URL + query).status == 200


def test_activate_and_deactivate_change_one_line(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("(DE)ACTIVATE", server="0 https")
    assert "virtual server https" in page.words
    assert changed_lines(TUTORIAL, agent.text) == [("active = 0", "active = 1")]
    page.press("(DE)ACTIVATE", server="1 https")
    assert agent.config_now.virtual[1].active is False


def test_the_page_and_the_search_are_kept_over_a_switch(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(120))
    page = visit(client, f"{URL}?q=service&page=2").press("(DE)ACTIVATE", server="0 service60")
    assert "page 2 of 3" in page.words
    assert "120 of 122 match" in page.words


@pytest.mark.parametrize("button", ["EDIT", "DELETE", "(DE)ACTIVATE"])
@pytest.mark.parametrize("server", ["", "http", "2 http", "1 "])
def test_a_button_without_a_choice_says_to_choose(client: FlaskClient, agent: FakeAgent, button: str, server: str) -> None:
    answer = visit(client, URL).press(button, server=server)
    assert answer.status == 422
    assert "Choose a virtual server first" in answer.words
    assert agent.text == TUTORIAL


def test_the_buttons_lead_where_they_say(client: FlaskClient) -> None:
    page = visit(client, URL)
    assert page.press("EDIT", server="1 http").form_with("ACCEPT").fields["name"] == "http"
    assert "Delete http?" in page.press("DELETE", server="1 http").words


# --- ADD ------------------------------------------------------------------------------------------------------------------------------


def test_a_new_one_starts_inactive_with_piranhas_screen_defaults(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, f"{URL}/add").press("ACCEPT", **NEW)
    assert page.status == 200
    assert "Accepted: serial 8" in page.words
    made = agent.config_now.virtual[-1]
    assert (made.name, made.active, made.port, made.timeout, made.reentry) == ("smtp", False, 25, 6, 15)
    assert (made.send, made.expect, made.scheduler) == ("GET / HTTP/1.0\\r\\n\\r\\n", "HTTP", "wlc")
    assert added_lines(TUTORIAL, agent.text)[0] == "virtual smtp {"


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("name", "", "A name is needed here."),
        ("name", "http", "There is already a virtual server called http."),
        ("name", "a\"b'c", "but not both"),
        ("vip", "", "needs an address as well as an interface"),
        ("vip", "192.0.2.300", "each part goes up to 255"),
        ("device", "", "needs an interface to live on"),
        ("port", "0", "the least is 1"),
    ],
)
def test_a_new_one_is_refused_in_words(client: FlaskClient, agent: FakeAgent, name: str, typed: str, words: str) -> None:
    answer = visit(client, f"{URL}/add").press("ACCEPT", **{**NEW, name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed
    assert answer.form_with("ACCEPT").fields["port"] == ("0" if name == "port" else "25")
    assert agent.text == TUTORIAL


def test_a_new_one_needs_an_address_or_a_firewall_mark(client: FlaskClient, agent: FakeAgent) -> None:
    answer = visit(client, f"{URL}/add").press("ACCEPT", name="smtp")
    assert answer.error("vip") == "An address is needed here, unless a firewall mark stands for the service."
    assert agent.text == TUTORIAL


def test_a_firewall_mark_stands_for_an_address(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, f"{URL}/add").press("ACCEPT", name="ftp", fwmark="21")
    assert agent.config_now.virtual[-1].fwmark == 21


def test_adding_merges_with_what_others_accepted_meanwhile(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, f"{URL}/add")
    agent.edit_by_hand(TUTORIAL.replace("weight = 3", "weight = 5"))
    page.press("ACCEPT", **NEW).press("APPLY MY CHANGE TO THE NEW FILE")
    assert agent.config_now.virtual[-1].name == "smtp"
    assert "weight = 5" in agent.text


# --- DELETE ---------------------------------------------------------------------------------------------------------------------------


def test_delete_asks_naming_what_goes_and_its_connections(client: FlaskClient, agent: FakeAgent) -> None:
    agent.count("http", "", CountersInfo(active=1200, inactive=34))
    page = visit(client, f"{URL}/http/delete")
    assert "http , 192.0.2.100:80 tcp, active" in page.words
    assert "3 real servers: number1, number2, number3" in page.words
    assert "1,234 open connections will be cut" in page.words
    assert agent.text == TUTORIAL


def test_delete_takes_its_lines_and_no_others_and_undo_brings_them_back(client: FlaskClient, agent: FakeAgent) -> None:
    asked = visit(client, f"{URL}/http/delete").press("DELETE")
    page = asked.press("ACCEPT", confirm=asked.form_with("BACK").boxes["confirm"])
    assert "Accepted: serial 8" in page.words
    assert [one.name for one in agent.config_now.virtual] == ["https"]
    assert added_lines(agent.text, TUTORIAL)[0] == "virtual http {"
    page.press("UNDO")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


def test_delete_of_what_is_gone_says_so(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, f"{URL}/http/delete")
    agent.edit_by_hand(TUTORIAL.replace("virtual http {", "virtual web {"))
    assert "no longer in lvs.cf" in page.press("DELETE").words
    assert visit(client, f"{URL}/http/delete").status == 404


def test_delete_can_be_reviewed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, f"{URL}/https/delete").press("REVIEW")
    assert "- virtual https {" in page.words
    page.press("ACCEPT")
    assert [one.name for one in agent.config_now.virtual] == ["http"]
