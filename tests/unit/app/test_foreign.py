"""IMPORT AND EXPORT: paste or upload, every line's fate before anything is written, add or replace, REVIEW, ACCEPT; downloads."""

from __future__ import annotations

import io

import pytest
from flask.testing import FlaskClient

from app.lvscf import load
from app.lvscf.foreign import Source, import_text
from app.views import foreign
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import Page, visit
from tests.unit.app.conftest import token
from tests.unit.app.test_safeguards import confirmed

URL = "/import"
KEEPALIVED = """\
global_defs {
    notification_email { ops@example.com }
    lvs_timeouts tcp 900
}
virtual_server 192.0.2.70 25 {
    delay_loop 6
    lb_algo lc
    lb_kind DR
    protocol TCP
    mystery 5
    real_server 192.0.2.71 25 {
        weight 3
        SMTP_CHECK {
            helo_name lb
        }
    }
}
"""


def read(client: FlaskClient, text: str = KEEPALIVED, **typed: str) -> Page:
    return visit(client, URL).press("READ", text=text, **typed)


def upload(client: FlaskClient, data: bytes) -> Page:
    sent = {"csrf_token": token(client), "action": "read", "text": "", "file": (io.BytesIO(data), "keepalived.conf")}
    return Page(client.post(URL, data=sent, content_type="multipart/form-data"), client)


# --- shows ---


def test_shows_how_to_begin_and_the_ways_out(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    assert page.status == 200
    assert page.form_with("READ").fields["source"] == "guess"
    assert 'href="/export/keepalived"' in page.html
    assert 'href="/export/ipvsadm"' in page.html
    assert ("node=backup" in page.html) is agent.config_now.globals.backup_active


@pytest.mark.parametrize("path", ["/lvs-cf", "/virtual-servers"])
def test_pages_beside_it_lead_there(client: FlaskClient, path: str) -> None:
    assert 'href="/import"' in client.get(path).text


def test_read_shows_what_every_line_became_and_writes_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    page = read(client)
    assert page.status == 200
    assert "Read as keepalived.conf : 1 virtual server." in page.words
    assert "Nothing is written yet." in page.words
    assert "scheduler = lc" in page.words
    assert "no mail is sent" in page.words
    assert "mystery is no word in a virtual_server block" in page.words
    without, every = page.html.split("<summary>Every line</summary>")
    assert "mystery" in without
    assert "helo_name" not in without
    assert "lb_algo" not in without
    assert "lb_algo" in every
    assert "check_host = lb" in every
    assert agent.text == TUTORIAL


def test_an_uploaded_file_is_read_like_a_pasted_one(client: FlaskClient, agent: FakeAgent) -> None:
    page = upload(client, KEEPALIVED.encode() + b"# \xff\n")
    assert "Read as keepalived.conf" in page.words
    page.press("ACCEPT")
    assert [one.name for one in agent.config_now.virtual][-1] == "smtp-192.0.2.70"


def test_the_interface_and_the_kind_can_be_said(client: FlaskClient) -> None:
    page = read(client, "-A -t 192.0.2.70:80 -s rr\n", device="bond0", source="ipvsadm")
    assert "192.0.2.70 bond0:1" in page.words
    again = page.press("READ AGAIN", device="eth3")
    assert "192.0.2.70 eth3:1" in again.words
    wrong = page.press("READ AGAIN", source="keepalived")
    assert "is no word at the top level" in wrong.words


# --- saves ---


def test_add_keeps_what_there_is_and_puts_the_new_ones_behind(client: FlaskClient, agent: FakeAgent) -> None:
    before = agent.text.rstrip("\n")
    page = read(client).press("ACCEPT")
    assert "Accepted: serial 8" in page.words
    assert agent.text.replace("serial_no = 8", "serial_no = 7").startswith(before)
    new = agent.config_now.virtual[-1]
    assert (new.name, new.address.host if new.address else "", new.port) == ("smtp-192.0.2.70", "192.0.2.70", 25)
    assert [server.forward for server in new.servers] == ["direct"]
    assert agent.config_now.globals.tcp_timeout == load(TUTORIAL).config.globals.tcp_timeout


def test_replace_takes_the_settings_that_the_source_names_and_no_others(client: FlaskClient, agent: FakeAgent) -> None:
    large = read(client).press("ACCEPT", way="replace")
    assert large.status == 409
    large.press("ACCEPT", confirm=confirmed(large))
    config, was = agent.config_now, load(TUTORIAL).config
    assert [one.name for one in config.virtual] == ["smtp-192.0.2.70"]
    assert (config.globals.network, config.globals.tcp_timeout) == ("direct", 900)
    assert (config.globals.primary, config.globals.keepalive) == (was.globals.primary, was.globals.keepalive)


def test_it_is_in_the_history_as_an_import(client: FlaskClient, agent: FakeAgent) -> None:
    read(client).press("ACCEPT")
    newest = agent.history(limit=1).revisions[0]
    assert newest.origin == "import"
    assert newest.comment.startswith("import of keepalived.conf: virtual server smtp-192.0.2.70 added")


def test_review_shows_the_change_and_back_returns_to_the_report(client: FlaskClient, agent: FakeAgent) -> None:
    review = read(client).press("REVIEW", way="replace")
    assert "Review: Import" in review.words
    assert "virtual server http" in review.words
    assert agent.text == TUTORIAL
    back = review.press("BACK")
    assert "Read as keepalived.conf" in back.words
    assert back.form_with("ACCEPT").fields["way"] == "replace"
    review.press("ACCEPT", confirm=confirmed(review))
    assert [one.name for one in agent.config_now.virtual] == ["smtp-192.0.2.70"]


def test_what_is_there_already_is_left_out_and_said(client: FlaskClient, agent: FakeAgent) -> None:
    read(client).press("ACCEPT")
    again = read(client)
    assert "smtp-192.0.2.70 is left out: lvs.cf has this service already" in again.words
    assert "There was nothing to change" in again.press("ACCEPT").words
    assert agent.text.count("virtual smtp-192.0.2.70 {") == 1


def test_what_is_exported_and_imported_again_is_nothing_new(client: FlaskClient) -> None:
    exported = client.get("/export/keepalived").text
    page = read(client, exported)
    assert page.status == 200
    assert "There was nothing to change" in page.press("ACCEPT").words


# --- refuses ---


@pytest.mark.parametrize(("text", "words"), [("", "the file is empty"), ("# nothing\n", "say which it is"), ("a\0b", "NUL bytes")])
def test_refuses_in_words_what_cannot_be_read(client: FlaskClient, agent: FakeAgent, text: str, words: str) -> None:
    page = read(client, text)
    assert page.status == 422
    assert words in page.words
    assert page.form_with("READ")
    assert agent.text == TUTORIAL


def test_too_large_a_file_is_refused_with_the_limit(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "LARGEST_FILE_BYTES", 1000)
    page = upload(client, b"x" * 1001)
    assert page.status == 413
    assert "is larger than" in page.words


@pytest.mark.parametrize("field", ["exact", "source", "way", "device"])
def test_fields_that_no_page_of_ours_has_are_harmless(client: FlaskClient, agent: FakeAgent, field: str) -> None:
    page = read(client)
    form = page.form_with("ACCEPT")
    answer = client.post(URL, data={**form.fields, "action": "review", field: "<rubbish>\x07"})
    assert answer.status_code in {200, 302, 422}
    assert "<rubbish>" not in answer.text
    assert agent.text == TUTORIAL


def test_hostile_text_is_shown_as_text(client: FlaskClient) -> None:
    page = read(client, KEEPALIVED.replace("mystery 5", "<script>alert(1)</script>"))
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;" in page.html


def test_a_newer_lvs_cf_is_noticed_and_the_import_put_on_top(client: FlaskClient, agent: FakeAgent) -> None:
    page = read(client)
    agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = 9", 1))
    stale = page.press("ACCEPT")
    assert stale.status == 409
    assert foreign.OVERTAKEN in stale.words
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert agent.config_now.virtual[0].timeout == 9
    assert agent.config_now.virtual[-1].name == "smtp-192.0.2.70"


def test_a_silent_agent_loses_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    page = read(client)
    agent.down = True
    form = page.form_with("ACCEPT")
    answer = Page(client.post(URL, data={**form.fields, "action": "accept"}), client)
    assert answer.status == 503
    assert "Read as keepalived.conf" in answer.words


def test_without_a_token_nothing_is_read(client: FlaskClient) -> None:
    assert client.post(URL, data={"text": KEEPALIVED, "action": "read"}).status_code == 400


# --- exports ---


def test_exports_are_files_to_keep(client: FlaskClient, agent: FakeAgent) -> None:
    answer = client.get("/export/keepalived?node=backup")
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    assert "keepalived-backup.conf" in answer.headers["Content-Disposition"]
    assert "virtual_server" in answer.text
    rules = client.get("/export/ipvsadm")
    assert "ipvsadm.rules" in rules.headers["Content-Disposition"]
    imported = import_text(rules.text)
    assert imported.source is Source.IPVSADM
    assert [len(one.servers) for one in imported.config.virtual] == [
        sum(server.active for server in one.servers) for one in agent.config_now.virtual if one.active
    ]


def test_an_lvs_cf_with_errors_is_not_exported(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("port = 80", "port = many", 1))
    answer = visit(client, "/export/ipvsadm")
    assert answer.status == 409
    assert "lvs.cf has errors, so nothing was exported." in answer.words


def test_there_is_no_other_target(client: FlaskClient) -> None:
    assert client.get("/export/nginx").status_code == 404
