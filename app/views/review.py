"""The way of a change, the same on every screen: ACCEPT, REVIEW, BACK, stale edits, refusals, UNDO.

A view makes a ``Screen`` and gives it to ``decide``.  Nothing here knows a particular field; errors that stand beside no form end on the
pages of ``app.errors``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

from flask import Blueprint, Response, abort, current_app, flash, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from app.editing import Basis, Draft, Outcome, Outcomes, draft, undoing
from app.errors import Explained, explain, problem_page
from app.forms.base import Meanwhile, ScreenForm
from app.forms.choosing import choice
from app.forms.marks import mark
from app.forms.values import readable
from app.frame import agent_down, current_config, safe_target, services
from app.lvscf import diff, parse, read
from app.lvscf.model import Config
from app.safeguards import FIELDS, Safeguards, safeguards
from app.textdiff import unified
from lvsagent.client import AgentError, ConfigText, InvalidConfig, StaleConfig, Unread
from lvsagent.wire import DiagnosticInfo, Receipt

blueprint = Blueprint("review", __name__)

OUTCOMES = "piranha-outcomes"
ACTOR = "piranha"
NOT_CARRIED = {"csrf_token", "action", *FIELDS}
WORDS_SHOWN = 40
LOOKED_BACK = 50
"""How many revisions are looked at for the text that a form was made from."""


@blueprint.record_once
def _prepare(state: BlueprintSetupState) -> None:
    state.app.extensions[OUTCOMES] = Outcomes()
    state.app.jinja_env.filters.update(readable=lambda text: readable(str(text)), choice=choice)


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a screen has to say about the try to change something: words, and lvs.cf's findings that found no field."""

    words: tuple[str, ...] = ()
    findings: tuple[DiagnosticInfo, ...] = ()


NO_NOTES = Notes()


class Whole(Protocol):
    """A change that is a whole text, instead of values to be put into the text that there is.  ``typed``: somebody can edit it again."""

    @property
    def typed(self) -> bool: ...

    def draft(self, basis: Basis) -> Draft | None:
        """What to write on top of ``basis``; ``None`` when it says so already."""
        ...

    def rebase(self, before: Basis | None, basis: Basis) -> tuple[Meanwhile, ...]:
        """Go on from ``basis``, a newer file than ``before`` (``None``: not known any more); returns the places where the two clash."""
        ...

    def fields_to_carry(self) -> list[tuple[str, str]]:
        """The change, as pairs for hidden fields on a page in between."""
        ...


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One screen's part in a change.

    ``change`` is pure and raises LookupError when what it changes is gone; ``show`` renders the screen with what was typed; ``here`` is
    where the screen posts to, ``again`` where it starts afresh when that is not ``here``, ``done`` where ACCEPT leads, ``home`` where to go
    when the thing is gone.  ``key`` gives the key of the
    edited block in a configuration (0: outside any block), for putting findings beside fields.  ``whole`` stands in for ``change`` and
    ``form`` where the change is a whole text; ``overtaken`` is then what to say of it when lvs.cf has changed meanwhile.
    ``make`` makes the text where that is not the writer's business alone; ``joins`` is the other director's head that it settles a
    conflict with.
    """

    title: str
    here: str
    show: Callable[[Notes], str]
    change: Callable[[Config], Config] = field(default=lambda config: config)
    done: Callable[[], str]
    home: str = "/virtual-servers"
    again: str = ""
    form: ScreenForm | None = None
    make: Callable[[Basis], Draft] | None = None
    joins: str = ""
    key: Callable[[Config], int] = field(default=lambda _config: 0)
    whole: Whole | None = None
    overtaken: str = ""

    @property
    def start(self) -> str:
        return self.again or self.here

    def draft(self, basis: Basis) -> Draft | None:
        """The change on top of ``basis``; raises as ``change`` does, and ValueError for what lvs.cf has no way to say."""
        if self.make is not None:
            return self.make(basis)
        return self.whole.draft(basis) if self.whole else draft(basis, self.change(basis.config))


def basis_now() -> Basis:
    """lvs.cf as this request finds it.  Raises AgentDown when nothing is known.

    A form made from another file than the agent's state speaks of is held against the file itself: a hand edit reaches the state later.
    """
    basis = Basis(*current_config())
    if request.form.get("etag", basis.etag) == basis.etag or agent_down():
        return basis
    return _newer_than(basis, "")


def _newer_than(basis: Basis, etag: str) -> Basis:
    """The file as it is now, when ``basis`` may no longer be it; ``etag``: its own, where the agent has told it."""
    newer = Basis(*services().config.current(etag))
    if newer.etag != basis.etag:
        services().config.outdated(basis.etag)
    return newer


def open_form(form: ScreenForm, basis: Basis, key: int = 0) -> None:
    """Fill a form: from the request when it was posted, else from lvs.cf with its findings beside the fields."""
    if request.method == "POST":
        form.take(basis.config, request.form)
        return
    try:
        form.start(basis.config, basis.etag)
    except LookupError:
        abort(404)
    if basis.text.exists:
        mark(form, basis.loaded.document, key, basis.loaded.diagnostics)


def page(template: str, notes: Notes, basis: Basis, **context: Any) -> str:
    """Render a screen with what all of them show: the last outcome, refusals, lvs.cf's own errors, and whether ACCEPT is possible."""
    errors = [one for one in basis.loaded.diagnostics if one.severity == "error"] if basis.text.exists else []
    shown = accepted(basis) if request.method == "GET" else None
    return render_template(
        template,
        notes=notes,
        basis=basis,
        file_errors=errors,
        outcome=shown,
        blocked=agent_down(),
        undo_possible=_undoable(shown, basis),
        **context,
    )


def accepted(basis: Basis) -> Outcome | None:
    """The outcome that the URL speaks of."""
    token = request.args.get("accepted", "")
    return _outcomes().get(token) if token and basis.etag else None


def _undoable(shown: Outcome | None, basis: Basis) -> bool:
    return shown is not None and shown.receipt.etag == basis.etag


def _outcomes() -> Outcomes:
    return cast("Outcomes", current_app.extensions[OUTCOMES])


def decide(screen: Screen) -> ResponseReturnValue:
    """What a POST of a screen comes to."""
    basis, action = basis_now(), request.form.get("action", "accept")
    if action == "back":
        return screen.show(NO_NOTES)
    obstacle = _obstacle(screen, basis)
    if obstacle is not None:
        return obstacle
    try:
        made = screen.draft(basis)
    except LookupError:
        return gone(screen)
    except ValueError as error:  # the change itself, or the writer: a value that lvs.cf has no way to say
        return screen.show(Notes(words=(str(error),))), 422
    if made is None:
        flash("There was nothing to change: lvs.cf says so already.", "info")
        return redirect(screen.done())
    return _review(screen, made) if action == "review" else _accept(screen, made)


def _obstacle(screen: Screen, basis: Basis) -> ResponseReturnValue | None:
    """Why the change cannot even be tried: a field in error, an agent that is down, a file that is no longer the form's."""
    if screen.form is not None and not screen.form.validate():
        return screen.show(NO_NOTES), 422
    if down := agent_down():
        return screen.show(Notes(words=(f"Nothing was written: {down} What you typed is kept on this page.",))), 503
    if request.form.get("etag", "") != basis.etag:
        return stale(screen, basis)
    try:
        safeguards(request.form)
    except ValueError as error:
        return screen.show(Notes(words=(str(error),))), 422
    return None


def put(made: Draft, comment: str, asked: Safeguards, joins: str = "") -> Receipt:
    """Write it, with what makes that safe; ``joins`` as in ``Screen``.  Raises what ``put_config`` raises."""
    return services().agent.put_config(
        made.text,
        if_match=made.basis.etag,
        comment=readable(comment),
        actor=ACTOR,
        origin=made.origin,
        plan=asked.plan,
        confirm=asked.confirm,
        guard_s=asked.guard_s,
        joins=joins,
    )


def _accept(screen: Screen, made: Draft) -> ResponseReturnValue:
    try:
        receipt = put(made, made.comment, safeguards(request.form), screen.joins)
    except Unread as unread:  # the plan has grown, or takes out more than an everyday change: read it first
        return reviewed(made, unread.receipt, _way(screen), str(unread)), 409
    except StaleConfig as error:
        return stale(screen, _newer_than(made.basis, error.etag))
    except AgentError as error:
        return _refused(screen, made, error)
    token = _outcomes().keep(Outcome(receipt, made.changes))
    return redirect(with_token(screen.done(), token))


def _review(screen: Screen, made: Draft) -> ResponseReturnValue:
    try:
        receipt = services().agent.put_config(made.text, if_match=made.basis.etag, dry_run=True, actor=ACTOR)
    except StaleConfig as error:
        return stale(screen, _newer_than(made.basis, error.etag))
    except AgentError as error:
        return _refused(screen, made, error)
    return reviewed(made, receipt, _way(screen))


class Way(NamedTuple):
    """Where REVIEW's buttons post to, and with which hidden fields.  ``typed``: something was, which BACK keeps."""

    title: str
    here: str
    pairs: list[tuple[str, str]]
    typed: bool = False


def _way(screen: Screen) -> Way:
    typed = screen.form is not None or (screen.whole is not None and screen.whole.typed)
    return Way(screen.title, screen.here, carried(screen), typed)


def reviewed(made: Draft, receipt: Receipt, way: Way, refused: str = "") -> str:
    """The page REVIEW.  ``refused``: why an ACCEPT led to it."""
    known = {(one.code, one.message) for one in made.basis.loaded.diagnostics}
    return render_template(
        "review/review.html",
        title=way.title,
        here=way.here,
        typed=way.typed,
        refused=refused,
        changes=made.changes,
        lines=unified(made.basis.text.text if made.basis.text.exists else "", made.text),
        receipt=receipt,
        touched=sum(step.connections for step in receipt.steps),
        findings=[one for one in receipt.diagnostics if (one.code, one.message) not in known],
        carry_pairs=way.pairs,
    )


def _refused(screen: Screen, made: Draft, error: AgentError) -> ResponseReturnValue:
    """Nothing was written: put what the agent found beside the fields, the rest on top."""
    found = explain(error)
    words: tuple[str, ...] = (found.words,)
    left: Sequence[DiagnosticInfo] = found.diagnostics
    if isinstance(error, InvalidConfig):
        left = [one for one in error.diagnostics if one.severity == "error"]
        words = ("Nothing was written: lvs.cf would have errors.",)
        if screen.form is not None:
            document = parse(made.text)
            left = mark(screen.form, document, _key_of(screen, read(document).config), left)
    return screen.show(Notes(words=words, findings=tuple(left))), found.status


def _key_of(screen: Screen, config: Config) -> int:
    try:
        return screen.key(config)
    except LookupError:
        return -1


def stale(screen: Screen, basis: Basis) -> ResponseReturnValue:
    """lvs.cf changed while the page was open: both versions, and the typed change on top of the new one where that can be done."""
    old_etag = request.form.get("etag", "")
    before = _seen(old_etag)
    meanwhile: tuple[Meanwhile, ...] = screen.form.meanwhile(basis.config) if screen.form else ()
    try:
        if screen.form is not None:
            screen.form.rebase(basis.config, basis.etag)
            if not screen.form.validate():
                return screen.show(Notes(words=("lvs.cf has changed meanwhile. Your entries were put on top of the new one.",))), 409
        elif screen.whole is not None:
            meanwhile = screen.whole.rebase(before, basis)
        made = screen.draft(basis)
    except LookupError:
        return gone(screen)
    conflicts = [one for one in meanwhile if one.conflict]
    carry_pairs, yours = carried(screen, basis.etag), made.changes if made else ()
    words = {"screen": screen, "yours": yours, "meanwhile": meanwhile, "conflicts": conflicts, "carry_pairs": carry_pairs}
    return render_template("review/stale.html", **words, **_between(before, basis)), 409


def _between(before: Basis | None, basis: Basis) -> dict[str, object]:
    """For the page: what happened to lvs.cf from the file the form was made from to the one there is."""
    if before is None:
        return {"before_known": False, "theirs": [], "more": 0, "lines": []}
    theirs = [change.words for change in diff(before.config, basis.config)]
    lines = unified(before.text.text, basis.text.text)
    return {"before_known": True, "theirs": theirs[:WORDS_SHOWN], "more": len(theirs) - WORDS_SHOWN, "lines": lines}


def _seen(etag: str) -> Basis | None:
    """The configuration a form was made from, when the console or the agent still has it."""
    kept = services().config.by_etag(etag)
    if kept is None:
        text = _earlier(etag)
        kept = services().config.parsed(text) if text is not None else None
    return Basis(*kept) if kept else None


def _earlier(etag: str) -> ConfigText | None:
    """The text of that ETag, when it is the previous one or one of the last revisions."""
    agent = services().agent
    previous = agent.previous_config()
    if previous is not None and previous.etag == etag:
        return previous
    with contextlib.suppress(AgentError):
        for one in agent.history(limit=LOOKED_BACK).revisions:
            if one.etag == etag and one.kept:
                return agent.revision_text(one.number)
    return None


def gone(screen: Screen) -> ResponseReturnValue:
    """What was to be changed is no longer in lvs.cf: say so, and show what was typed so that it is not lost."""
    typed = [(one.label.text, one.typed) for one in screen.form.settings] if screen.form else []
    return render_template("review/gone.html", screen=screen, typed=typed), 409


def carried(screen: Screen, etag: str = "") -> list[tuple[str, str]]:
    """Everything that was posted, for the hidden fields of a page in between."""
    if screen.form is not None:
        return screen.form.fields_to_carry()
    if screen.whole is not None:
        return screen.whole.fields_to_carry()
    pairs: Iterable[tuple[str, str]] = request.form.items(multi=True)
    return [(name, etag if etag and name == "etag" else value) for name, value in pairs if name not in NOT_CARRIED]


def with_token(url: str, token: str) -> str:
    """The URL of a screen that will tell the outcome."""
    return f"{url}{'&' if '?' in url else '?'}accepted={token}"


@blueprint.post("/undo")
def undo() -> ResponseReturnValue:
    """Put the previous text back as a new serial, only while the file is still the one that was accepted."""
    basis, target = basis_now(), safe_target(request.form.get("next", "/control"))
    agent = services().agent
    if request.form.get("etag", "") != basis.etag:
        return _cannot_undo("lvs.cf has changed again since, so undoing would take that change back too.")
    previous = agent.previous_config()
    if previous is None or not previous.exists or not previous.text:
        return _cannot_undo("There is no earlier lvs.cf to go back to.")
    if request.form.get("action") == "back":
        return redirect(target)
    made = undoing(basis, previous)
    try:
        receipt = put(made, f"undo: {made.comment}", safeguards(request.form))
    except Unread as unread:
        pairs = [("etag", basis.etag), ("next", target)]
        return reviewed(made, unread.receipt, Way("Undo", request.path, pairs), str(unread)), 409
    return redirect(with_token(target, _outcomes().keep(Outcome(receipt, made.changes, undo=True))))


def _cannot_undo(words: str) -> Response:
    return problem_page(Explained(409, "That can no longer be undone", words, "Nothing was changed."))
