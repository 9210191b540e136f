"""HISTORY: every accepted lvs.cf, what lies between any two, and the way back to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Blueprint, Response, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.forms.whole_file import EarlierFile
from app.frame import agent_down, services
from app.lvscf import Loaded, diff, load
from app.numbered import head
from app.revision_rows import RevisionRow, row, rows
from app.textdiff import unified
from app.views.review import NO_NOTES, WORDS_SHOWN, Notes, Screen, basis_now, decide, page
from lvsagent.client import AgentDown, ConfigText
from lvsagent.wire import RevisionInfo, Revisions

blueprint = Blueprint("history", __name__)

PER_PAGE = 50
LINES_SHOWN = 2000
NOW = "now"
OVERTAKEN = "Going back takes that change back too."


@blueprint.get("/history")
def index() -> ResponseReturnValue:
    """The revisions, newest first, a page at a time."""
    basis, before = basis_now(), _number(request.args.get("before", ""))
    found = _revisions(before)
    shown = rows(found.revisions[:PER_PAGE], basis.etag, services().wall(), newest=not before)
    strayed = bool(shown) and not before and basis.text.exists and not any(one.in_force for one in shown)
    older = len(found.revisions) > PER_PAGE
    return page("history/index.html", NO_NOTES, basis, rows=shown, total=found.total, older=older, before=before, strayed=strayed)


@blueprint.route("/history/<int:number>", methods=["GET", "POST"])
def revision(number: int) -> ResponseReturnValue:
    """One revision: what it changed and said.  A POST goes back to it, by REVIEW and ACCEPT."""
    info, text, basis = _info(number), services().agent.revision_text(number), basis_now()

    def show(notes: Notes) -> str:
        lines, hidden = head(text.text, LINES_SHOWN) if text else ([], 0)
        shown = _row(info, basis.etag)
        words = {"earlier": _before(number), "newest": _newest(), "has_text": text is not None}
        return page("history/revision.html", notes, basis, info=info, row=shown, lines=lines, hidden=hidden, **words)

    if request.method == "GET":
        return show(NO_NOTES)
    if text is None:
        return show(Notes(words=(f"The text of revision {number} is no longer kept, so there is nothing to go back to.",))), 409
    home = url_for("history.index")
    return decide(
        Screen(
            title=f"Back to revision {number}",
            here=url_for("history.revision", number=number),
            show=show,
            done=lambda: home,
            home=home,
            whole=EarlierFile(text, request.form.get("etag", ""), f"revision {number}"),
            overtaken=OVERTAKEN,
        )
    )


@blueprint.get("/history/<int:number>/file")
def download(number: int) -> ResponseReturnValue:
    """The very bytes of that lvs.cf."""
    text = services().agent.revision_text(number)
    if text is None:
        abort(404)
    return Response(text.text.encode("utf-8", "surrogateescape"), mimetype="text/plain")


@blueprint.get("/history/diff")
def compare() -> ResponseReturnValue:
    """What lies between two revisions, or one and lvs.cf as it stands (``now``), in words and in lines."""
    words = [request.args.get(name, "").strip() for name in ("from", "to")]
    if not all(words):
        newest = [str(one.number) for one in _revisions(0).revisions[:2]]
        words = [newest[-1], newest[0]] if newest else ["", ""]
    now = services().agent.config()
    old, new = (_side(word, now) for word in words)
    return render_template("history/diff.html", sides=[old, new], **_difference(old.text, new.text))


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are compared; ``text`` ``None``: it cannot be."""

    word: str
    text: ConfigText | None
    row: RevisionRow | None = None

    @property
    def title(self) -> str:
        """What it is called on the page."""
        return "lvs.cf now" if self.word == NOW else f"revision {self.word}"


def _side(word: str, now: ConfigText) -> Side:
    if word == NOW:
        return Side(word, now if now.exists else None)
    number = _number(word)
    info = _known(number)
    text = services().agent.revision_text(number) if info else None
    return Side(str(number or ""), text, _row(info, now.etag) if info else None)


def _difference(old: ConfigText | None, new: ConfigText | None) -> dict[str, object]:
    if old is None or new is None:
        return {"words": [], "more": 0, "lines": [], "same": False}
    words = [change.words for change in diff(_loaded(old).config, _loaded(new).config)]
    lines = unified(old.text, new.text)
    return {"words": words[:WORDS_SHOWN], "more": max(0, len(words) - WORDS_SHOWN), "lines": lines, "same": old.text == new.text}


def _loaded(text: ConfigText) -> Loaded:
    """Its meaning.  Old texts are not kept parsed: they would push out those in use."""
    kept = services().config.by_etag(text.etag)
    return kept[1] if kept else load(text.text)


def _revisions(before: int) -> Revisions:
    """A page of them and one more; while the agent is silent the last that was seen.  Raises AgentDown without any."""
    kept, key = services().state, ("history", before)
    if reason := agent_down():
        found = kept.remembered(key)
        if found is None:
            raise AgentDown(reason)
        return cast("Revisions", found)
    return kept.ask(key, lambda: services().agent.history(limit=PER_PAGE + 1, before=before))


def _known(number: int) -> RevisionInfo | None:
    found = services().agent.history(limit=1, before=number + 1).revisions if number else []
    return found[0] if found and found[0].number == number else None


def _before(number: int) -> int:
    """The number of the revision before that one; 0 without."""
    found = services().agent.history(limit=1, before=number).revisions if number > 1 else []
    return found[0].number if found else 0


def _newest() -> int:
    found = services().agent.history(limit=1).revisions
    return found[0].number if found else 0


def _info(number: int) -> RevisionInfo:
    found = _known(number)
    if found is None:
        abort(404)
    return found


def _row(info: RevisionInfo, etag: str) -> RevisionRow:
    return row(info, services().wall(), in_force=info.etag == etag)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
