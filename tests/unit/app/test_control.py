"""CONTROL/MONITORING: what it shows, what its buttons do, and that it lives through the agent's silence."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from msgspec import structs

from lvsagent.wire import CountersInfo, ForeignService, PeerInfo, ProcessInfo
from tests.fakes.agent import NOW, FakeAgent
from tests.unit.app.conftest import Clock, post

HOSTILE = """<script>alert('x')</script>"&'"""


def many(count: int, servers: int = 2) -> str:
    """An lvs.cf with ``count`` active virtual servers."""
    lines = ["serial_no = 1", "primary = 192.0.2.1"]
    for number in range(count):
        lines += [f"virtual web{number:04d} {{", " active = 1", f" address = 10.0.{number // 250}.{number % 250 + 1} eth0:{number}"]
        for server in range(servers):
            lines += [f" server real{server} {{", f"  address = 172.16.0.{server + 1}", "  active = 1", "  weight = 1", " }"]
        lines.append("}")
    return "\n".join(lines) + "\n"


def words(page: str) -> str:
    """The page as a reader has it, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


# --- the header, on every page ---


def test_the_header_says_which_router_this_is_and_whether_it_serves(client: FlaskClient) -> None:
    page = words(client.get("/control").text)
    assert "lefty primary active for 4 h 48 min no backup configured" in page
    assert "in step serial 7" in page


def test_the_header_names_the_peer(client: FlaskClient, agent: FakeAgent) -> None:
    agent.peer = PeerInfo(state="unknown", name="righty", address="192.0.2.2")
    assert "peer righty state not known" in words(client.get("/control").text)


def test_a_failover_tab_appears_for_fos_alone(client: FlaskClient, agent: FakeAgent) -> None:
    assert "FAILOVER" not in client.get("/control").text
    agent.edit_by_hand(agent.text.replace("service = lvs", "service = fos"))
    assert "FAILOVER" in client.get("/control").text


def test_the_demonstration_says_what_it_is_on_every_screen(client: FlaskClient, agent: FakeAgent) -> None:
    assert "demonstration data plane" not in client.get("/control").text
    agent.userspace = True
    for path in ("/control", "/password", "/global-settings", "/virtual-servers", "/no-such-page"):
        page = client.get(path).text
        assert "demonstration data plane" in page, path
        assert "Not for production." in page, path


# --- control ---


def test_shows_each_daemon_with_its_uptime(client: FlaskClient) -> None:
    page = words(client.get("/control").text)
    assert "Daemon: running" in page
    assert "pulse running 4 h 48 min" in page
    assert "nanny running 4 h 48 min" in page


def test_a_daemon_that_is_gone_is_named_with_the_reason(client: FlaskClient, agent: FakeAgent) -> None:
    agent.processes = [one for one in agent.processes if one.name != "nanny"]
    agent.processes.append(ProcessInfo(name="nanny", state="stopped", restarts=3, reason="it ended with signal 9"))
    page = words(client.get("/control").text)
    assert "Daemon: nanny not running" in page
    assert "stopped 3 restarts it ended with signal 9" in page


def test_one_of_several_nannies_that_is_gone_is_named(client: FlaskClient, agent: FakeAgent) -> None:
    nanny = next(one for one in agent.processes if one.name == "nanny")
    agent.processes.append(ProcessInfo(name="nanny-2", state="stopped", reason="was killed by SIGKILL"))
    page = words(client.get("/control").text)
    assert "Daemon: nanny-2 not running" in page
    assert page.index("nanny running") < page.index("nanny-2 stopped") < page.index("supervisor running")
    agent.processes[-1] = structs.replace(nanny, name="nanny-2")
    assert "Daemon: running" in words(client.get("/control").text)


def test_announces_the_addresses_again(client: FlaskClient, agent: FakeAgent) -> None:
    page = post(client, "/control/announce", follow=True).text
    assert agent.announced == 1
    assert "The neighbours are told again" in page


def test_a_refused_announcement_is_said_in_the_agents_words(client: FlaskClient, agent: FakeAgent) -> None:
    agent.passive = True
    page = post(client, "/control/announce", follow=True).text
    assert "This director is not active, so it has no addresses to announce." in page


def test_problems_come_first_in_words(client: FlaskClient, agent: FakeAgent) -> None:
    agent.alert("number2 is out of http: connection refused.", subject="http")
    page = client.get("/control").text
    assert page.index("number2 is out of http: connection refused.") < page.index("CLUSTER")


def test_a_problem_names_its_subject_once(client: FlaskClient, agent: FakeAgent) -> None:
    agent.alert("is out of service", subject="dns")
    agent.alert("real server number2 of http is down", subject="http")
    page = words(client.get("/control").text)
    assert "dns: is out of service" in page
    assert "http: real server" not in page


def test_many_problems_are_folded_not_lost(client: FlaskClient, agent: FakeAgent) -> None:
    for number in range(9):
        agent.alert(f"problem {number}", severity="warning")
    page = words(client.get("/control").text)
    assert "and 3 more problems" in page
    assert "problem 8" in page


def test_the_last_events_are_shown_and_who_did_it(client: FlaskClient, agent: FakeAgent) -> None:
    agent.event("config", "serial 8 accepted: weight of number1 1 → 3", actor="piranha", at=NOW - 5)
    page = words(client.get("/control").text)
    assert "serial 8 accepted: weight of number1 1 → 3 by piranha" in page


# --- monitor ---


def test_updates_itself_every_ten_seconds_with_and_without_scripts(client: FlaskClient) -> None:
    page = client.get("/control").text
    assert 'hx-trigger="every 10s"' in page
    assert '<noscript><meta http-equiv="refresh" content="10;url=/control?auto=1"></noscript>' in page


def test_the_frequency_is_remembered(client: FlaskClient) -> None:
    page = post(client, "/control/monitor", {"auto": "1", "frequency": "45"}, follow=True).text
    assert 'hx-trigger="every 45s"' in page
    assert 'name="frequency" inputmode="numeric" value="45"' in page


def test_auto_update_can_be_off(client: FlaskClient) -> None:
    page = post(client, "/control/monitor", {"frequency": "45"}, follow=True).text
    assert "hx-trigger" not in page
    assert "http-equiv" not in page
    assert 'value="45"' in page


@pytest.mark.parametrize("frequency", ["0", "3601", "-1", "ten", "", "1e3", "٣", "9" * 30, "<b>"])
def test_a_frequency_that_makes_no_sense_is_refused_in_words(client: FlaskClient, frequency: str) -> None:
    page = post(client, "/control/monitor", {"auto": "1", "frequency": frequency}, follow=True).text
    assert "is not a number of seconds from 1 to 3600" in page
    assert "<b>" not in page.replace("<b>lefty</b>", "").replace("<b>Demonstration", "")
    assert 'hx-trigger="every 10s"' in page


def test_a_damaged_cookie_is_as_good_as_none(client: FlaskClient) -> None:
    for damaged in ("1.99999", "x", "1.", "2.10", "1.-5"):
        client.set_cookie("monitor", damaged, path="/control")
        assert 'hx-trigger="every 10s"' in client.get("/control").text


def test_updating_now_keeps_filter_and_order(client: FlaskClient) -> None:
    answer = post(client, "/control/monitor?q=http&sort=name", {"auto": "1", "frequency": "10"})
    assert answer.location == "/control?q=http&sort=name"


def test_the_live_parts_replace_their_namesakes_and_eat_no_message(client: FlaskClient) -> None:
    post(client, "/control/announce")
    whole = client.get("/control/live").text
    parts = re.findall(r'id="([a-z]+)"\s+hx-swap-oob="true"', re.sub(r'(id="[a-z]+")[^>]*?(hx-swap-oob)', r"\1 \2", whole))
    assert parts == ["bar", "split", "silence", "stamp", "problems", "picture", "events", "facts", "routing", "processes", "checks"]
    page = client.get("/control").text
    assert all(f'id="{part}"' in page for part in parts)
    assert "The neighbours are told again" in page


# --- the routing table ---


def test_real_servers_stand_under_their_virtual_server(client: FlaskClient) -> None:
    page = words(client.get("/control").text)
    table = page[page.index("CURRENT LVS ROUTING TABLE") :]
    assert table.index("http 3 of 3 up 192.0.2.100:80 tcp rr · NAT") < table.index("number1") < table.index("number2")
    assert "sticky 5 min" in table


def test_a_server_that_is_down_says_why(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark_down("http", "number2", "connection refused")
    page = words(client.get("/control").text)
    assert "2 of 3 up" in page
    assert "down 2 min connection refused" in page


def test_a_virtual_server_that_the_kernel_refused_says_why(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark("http", "", "failed", "scheduler mh: module missing")
    page = client.get("/control").text
    assert "failed" in page
    assert "scheduler mh: module missing" in page


def test_shows_numbers_rates_and_a_sparkline(client: FlaskClient, agent: FakeAgent) -> None:
    counters = CountersInfo(active=1332, inactive=5, connections_per_s=4.25, bytes_per_s=1536, history=[1.0, 3.0, 2.0])
    agent.count("http", "number1", counters)
    page = client.get("/control").text
    assert ">1,332<" in page
    assert ">4.2<" in page
    assert ">1.5 KiB<" in page
    assert "now 4.2, highest 3" in page


def test_the_filter_finds_names_and_addresses(client: FlaskClient) -> None:
    page = words(client.get("/control?q=https").text)
    assert "443 tcp" in page
    assert "192.0.2.100:80 tcp" not in page
    assert "1 virtual server match" in page


def test_a_filter_without_a_hit_says_so(client: FlaskClient) -> None:
    page = words(client.get("/control?q=nothing").text)
    assert "Nothing matches “nothing”" in page
    assert "Show all 2" in page


def test_sorting_goes_to_the_agent_and_back(client: FlaskClient) -> None:
    page = client.get("/control?sort=name").text
    assert 'aria-sort="ascending"' in page
    assert 'id="sort-name" href="/control#routing-table"' in page
    assert 'id="sort-rate" href="/control?sort=rate#routing-table"' in page
    assert "aria-sort" not in client.get("/control?sort=invented").text


def test_a_large_cluster_is_folded_and_paged(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(120))
    client.get("/control")
    page = client.get("/control?page=2").text
    assert "web0050" in page
    assert "web0049" not in page
    assert "page 2 of 3" in words(page)
    assert "120 virtual servers" in words(page)
    assert page.count('<tr class="rs') == 0


def test_one_virtual_server_of_a_large_cluster_is_unfolded(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(120))
    client.get("/control")
    page = client.get("/control?open=web0003").text
    assert page.count('<tr class="rs') == 2
    assert 'aria-label="Hide the real servers of web0003"' in page


def test_a_cluster_that_has_shrunk_shows_its_real_servers_again(client: FlaskClient, agent: FakeAgent) -> None:
    small = agent.text
    agent.edit_by_hand(many(30))
    client.get("/control")
    agent.edit_by_hand(small)
    assert client.get("/control").text.count('<tr class="rs') == 5


def test_only_one_page_of_a_large_cluster_is_asked_for(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(120))
    client.get("/control")
    agent.asked.clear()
    client.get("/control")
    assert sorted(agent.asked) == ["checks", "events", "state"]


def test_a_page_number_beyond_the_end_is_harmless(client: FlaskClient) -> None:
    for page in ("0", "-3", "9999", "x", "9" * 40):
        assert client.get(f"/control?page={page}").status_code == 200


def test_foreign_services_are_shown_as_such(client: FlaskClient, agent: FakeAgent) -> None:
    agent.foreign = [ForeignService(service="203.0.113.9:25 tcp", scheduler="wlc", servers=2)]
    page = words(client.get("/control").text)
    assert "Not in lvs.cf" in page
    assert "203.0.113.9:25 tcp" in page


def test_without_any_virtual_server_the_page_leads_to_the_first(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("serial_no = 1\nprimary = 192.0.2.1\n")
    page = client.get("/control").text
    assert "There is no virtual server yet." in page
    assert 'href="/virtual-servers"' in page


def test_names_lead_to_their_screens(client: FlaskClient) -> None:
    found = re.search(r'id="edit-1" href="([^"]+)"', client.get("/control").text)
    assert found
    assert client.get(found[1], follow_redirects=True).status_code == 200


def test_the_plain_view_is_ipvsadms_text_to_the_letter(client: FlaskClient, agent: FakeAgent) -> None:
    assert agent.table_text() in client.get("/control/table").text
    assert client.get("/control/table?text=1").text == agent.table_text()
    assert client.get("/control/table?rules=1&text=1").text == agent.table_text(rules=True)


# --- processes and checks ---


def test_processes_and_checks_are_listed(client: FlaskClient) -> None:
    page = words(client.get("/control").text)
    assert "pulse running 802 0.2 % 22 MiB 4 h 48 min 0" in page
    assert "http/number1 up 2 min 10.11.12.21:80 sends a request, expects HTTP passed, 40 in a row 3.1 ms 2 s ago 4 s" in page


def test_a_failing_check_says_how_often(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark_down("http", "number2", "connection refused")
    assert "connection refused, 40 in a row" in words(client.get("/control/checks").text)


def test_all_checks_are_paged(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(many(60))
    assert "The first 10 of 120." in words(client.get("/control").text)
    page = client.get("/control/checks?page=3").text
    assert "120 checks" in page
    assert "web0059/real1" in page
    assert "web0000/real0" not in page


def test_all_events_can_be_read_back(client: FlaskClient, agent: FakeAgent) -> None:
    for number in range(60):
        agent.event("server", f"event number {number}.")
    newest = client.get("/control/events").text
    assert "event number 59." in newest
    assert "event number 3." not in newest
    older = re.search(r'href="(/control/events\?before=\d+)"', newest)
    assert older
    assert "event number 3." in client.get(older[1]).text


# --- the picture ---


def test_the_picture_says_in_words_what_it_shows(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark_down("http", "number2", "connection refused")
    page = client.get("/control").text
    assert 'aria-label="lefty is active; 2 of 3 real server addresses up; number2 down 2 min."' in page
    assert "The same as a table" in page


# --- the agent is silent ---


def test_while_the_agent_is_down_the_last_snapshot_is_shown_with_its_age(client: FlaskClient, agent: FakeAgent, clock: Clock) -> None:
    client.get("/control")
    agent.down = True
    clock.now += 75
    answer = client.get("/control")
    page = words(answer.text)
    assert answer.status_code == 200
    assert "The agent does not answer." in page
    assert "No agent listens on /run/lvsagent/agent.sock." in page
    assert "What you see is 1 min 15 s old." in page
    assert "number3" in page
    assert "was active" in page
    assert "Daemon: no answer" in page
    assert "http/number1" in page
    assert "disabled" in answer.text


def test_while_the_agent_is_down_it_is_asked_once_a_page(client: FlaskClient, agent: FakeAgent) -> None:
    client.get("/control")
    agent.down = True
    agent.asked.clear()
    client.get("/control")
    assert agent.asked == ["state"]


def test_an_agent_that_never_answered_leaves_a_page_that_says_so(client: FlaskClient, agent: FakeAgent) -> None:
    agent.down = True
    answer = client.get("/control")
    assert answer.status_code == 200
    assert "Nothing is known yet" in answer.text
    assert client.get("/control/live").status_code == 200


def test_pages_that_need_the_agent_say_that_it_is_down(client: FlaskClient, agent: FakeAgent) -> None:
    client.get("/control")
    agent.down = True
    for path in ("/control/table", "/control/checks", "/control/events"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "The agent does not answer" in answer.text
    assert "The agent does not answer" in post(client, "/control/announce", follow=True).text


# --- hostile words ---


def test_hostile_words_come_out_escaped(client: FlaskClient, agent: FakeAgent) -> None:
    agent.host = HOSTILE
    agent.edit_by_hand(agent.text.replace("virtual http {", "virtual \"<script>alert('x')</script>\" {"))
    agent.peer = PeerInfo(state="unknown", name=HOSTILE)
    agent.alert(HOSTILE, subject=HOSTILE)
    agent.event("server", HOSTILE, actor=HOSTILE)
    agent.processes.append(ProcessInfo(name=HOSTILE, state=HOSTILE, reason=HOSTILE))
    agent.foreign = [ForeignService(service=HOSTILE, scheduler=HOSTILE, servers=1)]
    agent.mark_down("https", "number1", HOSTILE)
    for path in (
        "/control",
        "/control/live",
        "/control/checks",
        "/control/events",
        f"/control?q={HOSTILE}",
        f"/control/checks?virtual={HOSTILE}",
    ):
        page = client.get(path).text
        assert "alert(" in page, path
        assert "<script>alert" not in page, path
        assert "\"&'" not in page, path


def test_bytes_that_are_not_text_do_not_break_a_page(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(agent.text.replace("virtual http {", 'virtual "h\udcfftp" {'))
    answer = client.get("/control")
    assert answer.status_code == 200
    assert "h\ufffdtp" in answer.text
