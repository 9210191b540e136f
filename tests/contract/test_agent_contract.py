"""The console's FakeAgent and the real client with the real lvsd behind its socket: the same answers to the same calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvsagent.client import Agent, AgentClient, AgentRefused, InvalidConfig, PlanGrown, StaleConfig, Unconfirmed
from lvsagent.wire import OverrideRequest, PairingRequest, Rehearsal, RehearsalRequest, TrialRequest
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import Lab
from tests.waiting import until

CHANGED = TUTORIAL.replace("weight = 1", "weight = 2", 1).replace("serial_no = 7", "serial_no = 8")


class LabInAThread:
    """A real lvsd with every server up, in a loop of its own, so that a test may call as the console does."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._lab = Lab(folder, FakeIpvs(), confirm_share=0.5)
        self._lab.lvs_cf.write_text(TUTORIAL)
        self._loop.run_until_complete(self._begin())
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    @property
    def client(self) -> AgentClient:
        return self._lab.client

    async def _begin(self) -> None:
        await self._lab.start()
        await self._lab.report("up")
        await self._lab.director.step()

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._lab.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(params=["fake", "real"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    if request.param == "fake":
        yield FakeAgent(passive=True)  # the real one has no pulse here: nobody announces
        return
    lab = LabInAThread(tmp_path)
    yield lab.client
    lab.end()


def test_config_is_the_file_with_its_etag(agent: Agent) -> None:
    config = agent.config()
    assert (config.text, config.exists, len(config.etag)) == (TUTORIAL, True, 64)


def test_an_accepted_text_is_the_next_config_and_the_one_before_is_kept(agent: Agent) -> None:
    assert agent.previous_config() is None
    before = agent.config()
    receipt = agent.put_config(CHANGED, if_match=before.etag, comment="heavier", actor="piranha")
    assert (receipt.serial, receipt.dry_run, receipt.written, receipt.applied) == (8, False, True, True)
    assert (agent.config().text, agent.config().etag) == (CHANGED, receipt.etag)
    previous = agent.previous_config()
    assert previous is not None
    assert (previous.text, previous.etag, receipt.previous_etag) == (TUTORIAL, before.etag, before.etag)


def test_every_accepted_text_is_a_revision(agent: Agent) -> None:
    first = agent.history().revisions[0]
    receipt = agent.put_config(CHANGED, if_match=agent.config().etag, comment="heavier", actor="piranha", origin="rollback")
    page = agent.history()
    newest = page.revisions[0]
    assert (receipt.revision, newest.number, page.total, first.origin) == (2, 2, 2, "start")
    assert (newest.serial, newest.actor, newest.origin, newest.comment) == (8, "piranha", "rollback", "heavier")
    assert (newest.parent, newest.etag, newest.outcome, newest.kept) == (first.id, receipt.etag, "applied", True)
    assert newest.changes == ["serial_no 7 → 8", "real server number1 of http: weight 1 → 2"]
    assert [one.number for one in agent.history(limit=1).revisions] == [2]
    assert [one.number for one in agent.history(before=2).revisions] == [1]
    text = agent.revision_text(1)
    assert text is not None
    assert (text.text, text.etag) == (TUTORIAL, first.etag)
    assert agent.revision_text(3) is None


def test_a_dry_run_changes_nothing_and_has_steps(agent: Agent) -> None:
    before = agent.config()
    receipt = agent.put_config(CHANGED, if_match=before.etag, dry_run=True)
    assert (receipt.dry_run, receipt.written, receipt.etag) == (True, False, before.etag)
    assert {step.action for step in receipt.steps} <= {"add", "change", "remove"}
    assert any("weight 1 → 2" in step.detail for step in receipt.steps)
    assert agent.config() == before


def test_a_stale_write_says_which_file_is_there(agent: Agent) -> None:
    with pytest.raises(StaleConfig) as caught:
        agent.put_config(CHANGED, if_match="0" * 64)
    assert caught.value.etag == agent.config().etag


def test_errors_come_with_their_lines(agent: Agent) -> None:
    with pytest.raises(InvalidConfig) as caught:
        agent.put_config(TUTORIAL.replace("scheduler = rr", "scheduler = fastest"), if_match=agent.config().etag)
    assert [one.line for one in caught.value.diagnostics if one.severity == "error"] == [14]
    assert agent.config().text == TUTORIAL


def test_the_state_of_the_tutorial(agent: Agent) -> None:
    state = agent.state()
    assert [(one.name, one.state, one.up, one.enabled, one.total) for one in state.virtual_servers] == [
        ("http", "up", 3, 3, 3),
        ("https", "inactive", 0, 1, 2),
    ]
    http = state.virtual_servers[0]
    assert (http.address, http.port, http.protocol, http.scheduler, http.device) == ("192.0.2.100", 80, "tcp", "rr", "eth1:1")
    assert (state.matching, state.virtual_total, state.real_total) == (2, 2, 5)
    assert (state.config.serial, state.config.applied_serial, state.config.in_step) == (7, 7, True)
    assert http.real_servers == []


def test_real_servers_when_they_are_asked_for(agent: Agent) -> None:
    (https,) = agent.state(virtual="https", servers=True).virtual_servers
    assert [(one.name, one.state, one.weight, one.configured_weight) for one in https.real_servers] == [
        ("number1", "inactive", None, 3),
        ("number3", "inactive", None, 1),
    ]
    (http,) = agent.state(virtual="http", servers=True).virtual_servers
    assert [(one.name, one.state, one.weight) for one in http.real_servers] == [(f"number{number}", "up", 1) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("search", "found"),
    [("https", ["https"]), ("10.11.12.22", ["http"]), ("NUMBER3", ["http", "https"]), ("nowhere", [])],
)
def test_search_looks_at_names_and_addresses_of_both_kinds(agent: Agent, search: str, found: list[str]) -> None:
    state = agent.state(search=search)
    assert [one.name for one in state.virtual_servers] == found
    assert state.matching == len(found)


def test_pages(agent: Agent) -> None:
    second = agent.state(page=2, per_page=1)
    assert ([one.name for one in second.virtual_servers], second.matching) == (["https"], 2)
    assert agent.state(page=3, per_page=1).virtual_servers == []
    assert [one.name for one in agent.state(sort="name").virtual_servers] == ["http", "https"]


def test_events_newest_first(agent: Agent) -> None:
    agent.put_config(CHANGED, if_match=agent.config().etag, actor="piranha")
    (newest,) = agent.events(limit=1).events
    assert (newest.kind, newest.actor) == ("config", "piranha")
    assert all(event.id < newest.id for event in agent.events(before=newest.id).events)


def test_checks_of_one_virtual_server(agent: Agent) -> None:
    checks = agent.checks(virtual="http", per_page=2)
    assert (len(checks.checks), checks.matching) == (2, 3)
    assert [one.key for one in checks.checks] == ["http/number1", "http/number2"]


def test_a_check_that_is_not_there_cannot_be_explained(agent: Agent) -> None:
    with pytest.raises(AgentRefused, match="there is no check http/nobody"):
        agent.explain("http/nobody")


def test_a_check_that_is_not_there_cannot_be_released(agent: Agent) -> None:
    with pytest.raises(AgentRefused, match="there is no check http/nobody"):
        agent.release("http/nobody")


def test_a_trial_of_another_file_is_stale(agent: Agent) -> None:
    with pytest.raises(StaleConfig):
        agent.trial(TrialRequest(etag="0" * 64, virtual="http", send=None, expect=None, use_regex=False, send_program=None))


def test_who_is_not_active_does_not_announce(agent: Agent) -> None:
    with pytest.raises(AgentRefused):
        agent.announce()


def test_the_table_as_text(agent: Agent) -> None:
    listing = agent.table_text().splitlines()
    assert listing[0].startswith("IP Virtual Server version ")
    assert "TCP  192.0.2.100:80 rr" in listing
    assert "-A -t 192.0.2.100:80 -s rr" in agent.table_text(rules=True).splitlines()


def test_a_lone_director_has_nobody_to_change_roles_with(agent: Agent) -> None:
    for action in ("step_down", "take_over", "dance"):
        with pytest.raises(AgentRefused):
            agent.failover(action, reason="test")
    assert agent.state().peer.state == "none"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (RehearsalRequest(virtual="smtp"), "lvs.cf has no virtual server smtp"),
        (RehearsalRequest(virtual="https"), "https cannot be measured here: it is not active"),
        (RehearsalRequest(virtual="http", seconds=0.5), "seconds is from 2 to 60, not 0.5"),
        (RehearsalRequest(virtual="http"), "."),  # there is no other director to move the role to
    ],
)
def test_a_rehearsal_that_cannot_be_is_refused_and_nothing_runs(agent: Agent, request_: RehearsalRequest, words: str) -> None:
    with pytest.raises(AgentRefused, match=words):
        agent.rehearse(request_)
    assert agent.rehearsals().running is None


def test_a_drain_is_shown_where_the_server_is_until_it_is_taken_back(agent: Agent) -> None:
    (made,) = agent.override(OverrideRequest(action="drain", virtual="http", server="number1", reason="new disk", actor="ann")).overrides
    assert (made.virtual, made.server, made.host, made.action, made.actor, made.reason) == (
        "http",
        "number1",
        "",
        "drain",
        "ann",
        "new disk",
    )
    row = agent.state(virtual="http", servers=True).virtual_servers[0].real_servers[0]
    assert row.order is not None
    assert (row.order.action, row.weight) == ("drain", 0)
    assert row.state in {"draining", "drained"}
    assert row.reason.startswith("drained by ann: new disk")
    assert agent.state().virtual_servers[0].up == 2
    assert agent.override(OverrideRequest(action="auto", virtual="http", server="number1")).overrides == []
    row = agent.state(virtual="http", servers=True).virtual_servers[0].real_servers[0]
    assert (row.state, row.weight, row.order) == ("up", 1, None)


def test_a_host_is_in_its_virtual_servers_and_the_newest_decision_comes_first(agent: Agent) -> None:
    agent.override(OverrideRequest(action="weight", virtual="http", server="number2", weight=7))
    found = agent.override(OverrideRequest(action="down", host="10.11.12.23")).overrides
    assert [(one.host or one.server, one.action, one.weight) for one in found] == [("10.11.12.23", "down", 0), ("number2", "weight", 7)]
    rows = agent.state(virtual="http", servers=True).virtual_servers[0].real_servers
    assert [(row.state, row.weight) for row in rows] == [("up", 1), ("up", 7), ("forced down", None)]
    assert agent.overrides().overrides == found


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (OverrideRequest(action="drain", virtual="http", server="nobody"), "not_found"),
        (OverrideRequest(action="drain", host="192.0.2.9"), "not_found"),
        (OverrideRequest(action="drain"), "bad_request"),
        (OverrideRequest(action="drain", virtual="http", server="number1", host="10.11.12.21"), "bad_request"),
        (OverrideRequest(action="explode", virtual="http", server="number1"), "bad_request"),
        (OverrideRequest(action="drain", virtual="http", server="number1", then="cut"), "bad_request"),
        (OverrideRequest(action="cut", virtual="http", server="number1"), "not_found"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(agent: Agent, asked: OverrideRequest, code: str) -> None:
    with pytest.raises(AgentRefused) as refused:
        agent.override(asked)
    assert refused.value.code == code
    assert agent.overrides().overrides == []


def test_rehearsals_are_kept_newest_first(agent: Agent) -> None:
    assert agent.rehearsals().rehearsals == []
    for gap in (0.14, 0.02):
        agent.add_rehearsal(
            Rehearsal(
                target="127.0.0.100:80",
                began_at=1,
                duration_s=5,
                interval_s=0.02,
                limit_s=0.1,
                requests=250,
                failed=3,
                longest_gap_s=gap,
                triggered=True,
            )
        )
    assert [one.longest_gap_s for one in agent.rehearsals().rehearsals] == [0.02, 0.14]


def test_a_lone_director_is_not_paired_and_bad_requests_are_refused_in_words(agent: Agent) -> None:
    assert (agent.pairing().paired, agent.pairing().code) == (False, "")
    for request, words in (
        (PairingRequest(action="unpair"), "not paired"),
        (PairingRequest(action="dance"), "wait, stop, join or unpair"),
        (PairingRequest(action="join", address="192.0.2.1", code="short"), "4 groups of 5"),
        (PairingRequest(action="join", address="righty", code="ABCDE-FGHIJ-KLMNO-PQRST"), "IP address"),
    ):
        with pytest.raises(AgentRefused, match=words):
            agent.change_pairing(request)
    assert not agent.pairing().paired


# --- safe accepts ----------------------------------------------------------------------------------------------------------------

HALF_GONE = TUTORIAL.replace("serial_no = 7", "serial_no = 8").replace(
    "active = 1\n         weight = 1", "active = 0\n         weight = 1", 2
)


def test_a_dry_run_has_a_fingerprint_that_an_accept_may_name(agent: Agent) -> None:
    before = agent.config()
    shown = agent.put_config(CHANGED, if_match=before.etag, dry_run=True)
    assert len(shown.plan) == 16
    assert agent.put_config(CHANGED, if_match=before.etag, dry_run=True).plan == shown.plan
    assert agent.put_config(CHANGED, if_match=before.etag, plan=shown.plan).written


def test_an_accept_that_does_more_than_was_shown_is_refused_with_the_plan_as_it_is(agent: Agent) -> None:
    before = agent.config()
    shown = agent.put_config(CHANGED, if_match=before.etag, dry_run=True)
    with pytest.raises(PlanGrown) as caught:
        agent.put_config(CHANGED.replace("scheduler = rr", "scheduler = wlc"), if_match=before.etag, plan=shown.plan)
    assert (caught.value.receipt.dry_run, caught.value.receipt.written) == (True, False)
    assert len(caught.value.receipt.steps) > len(shown.steps)
    assert agent.config() == before


def test_what_takes_much_out_of_service_needs_its_token(agent: Agent) -> None:
    before = agent.config()
    with pytest.raises(Unconfirmed, match="number1 of http, number2 of http") as caught:
        agent.put_config(HALF_GONE, if_match=before.etag)
    takes = caught.value.receipt.takes_out
    assert takes is not None
    assert (takes.virtual, takes.real, takes.real_count, takes.real_total) == ([], ["number1 of http", "number2 of http"], 2, 3)
    assert agent.put_config(HALF_GONE, if_match=before.etag, dry_run=True).takes_out == takes
    assert agent.config() == before
    assert agent.put_config(HALF_GONE, if_match=before.etag, confirm=takes.token).written


def test_a_guarded_change_is_in_the_state_until_it_is_confirmed(agent: Agent) -> None:
    assert agent.state().guard is None
    receipt = agent.put_config(CHANGED, if_match=agent.config().etag, guard_s=60, actor="piranha")
    guard = agent.state().guard
    assert guard is not None
    assert (guard.etag, guard.serial, guard.previous_serial, guard.state, guard.actor) == (receipt.etag, 8, 7, "watching", "piranha")
    assert agent.guard("confirm", actor="piranha", etag=guard.etag).state == "confirmed"
    with pytest.raises(AgentRefused):
        agent.guard("revert")
    assert agent.config().text == CHANGED


def test_a_guarded_change_goes_back_when_asked_as_a_new_serial(agent: Agent) -> None:
    agent.put_config(CHANGED, if_match=agent.config().etag, guard_s=60)
    assert agent.guard("revert", actor="piranha").state == "went back"
    assert agent.config().text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")
    guard = agent.state().guard
    assert guard is not None
    assert guard.reason == "piranha asked for it"


# --- the other director ----------------------------------------------------------------------------------------------------------


def test_a_lone_director_has_nobody_to_be_in_step_with(agent: Agent) -> None:
    info = agent.sync()
    assert (info.state, info.peer, info.equal) == ("none", None, True)
    assert agent.state().sync.state == "none"
    assert agent.conflict() is None
    receipt = agent.put_config(CHANGED, if_match=agent.config().etag)
    assert receipt.peer is None


def test_an_action_that_is_none_is_refused_in_words(agent: Agent) -> None:
    with pytest.raises(AgentRefused, match="now, adopt, restore, reconcile"):
        agent.sync_action("format")
    assert agent.sync_action("now").state == "none"


def test_a_text_that_joins_nothing_is_refused(agent: Agent) -> None:
    before = agent.config()
    with pytest.raises(AgentRefused, match="another one by now"):
        agent.put_config(CHANGED, if_match=before.etag, joins="f" * 64)
    assert agent.config() == before


def test_the_doctor_has_nothing_to_say_before_it_was_asked(agent: Agent) -> None:
    report = agent.doctor("http")
    assert (report.virtual, report.state, report.results, report.in_step, report.busy) == ("http", "never", [], True, "")
    assert agent.doctor("nowhere").state == "never"
    with pytest.raises(AgentRefused, match="there is no virtual server nowhere"):
        agent.examine("nowhere")


def test_the_doctor_looks_at_every_real_server_and_says_when_lvs_cf_has_changed_since(agent: Agent) -> None:
    begun = agent.examine("http", actor="piranha")
    assert (begun.state, begun.total, begun.actor) == ("running", 3, "piranha")
    until(lambda: agent.doctor("http").state == "done")
    report = agent.doctor("http")
    assert [(one.server, one.address, one.forwarding, one.findings) for one in report.results] == [
        (f"number{number}", f"10.11.12.2{number}", "nat", []) for number in (1, 2, 3)
    ]
    assert (report.looked, report.failure, report.in_step) == (3, "", True)
    agent.put_config(CHANGED, if_match=agent.config().etag)
    assert not agent.doctor("http").in_step
