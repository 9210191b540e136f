"""LVS.CF: the file itself, edited as a text, checked by line, uploaded and downloaded."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.forms.values import readable
from app.forms.whole_file import EDITED_LINES, LONGEST_NOTE, TypedFile, take
from app.frame import services
from app.lvscf import load
from app.numbered import Finding, count_lines, numbered
from app.presentation import size
from app.textarea import LARGEST_FILE_BYTES
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, page

blueprint = Blueprint("lvs_cf", __name__)

LARGEST_REQUEST = LARGEST_FILE_BYTES + 1_000_000
FINDINGS_SHOWN = 200
OVERTAKEN = "Your change and theirs do not touch the same lines, so both can stand."


@blueprint.url_value_preprocessor
def _allow_a_whole_file(_endpoint: str | None, _values: object) -> None:
    """These pages take more than a form's few fields; said before anything reads the request."""
    request.max_content_length = request.max_form_memory_size = LARGEST_REQUEST


@blueprint.route("/lvs-cf", methods=["GET", "POST"])
def edit() -> ResponseReturnValue:
    """The editor; CHECK, REVIEW and ACCEPT of what was typed."""
    basis = basis_now()
    if request.method == "GET":
        return _page(basis, _as_it_is(basis), NO_NOTES)
    typed = take(request.form)
    if typed is None:
        abort(400)
    if request.form.get("action") == "check":
        return _page(basis, typed, NO_NOTES)
    here = url_for("lvs_cf.edit")
    return decide(
        Screen(
            title="lvs.cf",
            here=here,
            show=lambda notes: _page(basis, typed, notes),
            done=lambda: here,
            home=here,
            whole=typed,
            overtaken=OVERTAKEN,
        )
    )


@blueprint.post("/lvs-cf/upload")
def upload() -> ResponseReturnValue:
    """A file from the user's computer into the editor; nothing is written by it."""
    basis, chosen = basis_now(), request.files.get("file")
    data = chosen.read(LARGEST_FILE_BYTES + 1) if chosen else b""
    if not data:
        return _page(basis, _as_it_is(basis), Notes(words=("No file was chosen, or there is nothing in it.",))), 422
    name = readable((chosen.filename if chosen else "") or "the file")
    if len(data) > LARGEST_FILE_BYTES:
        words = f"{name} is larger than {size(LARGEST_FILE_BYTES)}, the largest lvs.cf that this console takes."
        return _page(basis, _as_it_is(basis), Notes(words=(words,))), 413
    return _page(basis, TypedFile(data.decode("utf-8", "surrogateescape"), basis.etag), NO_NOTES, uploaded=name)


@blueprint.get("/lvs-cf/file")
def download() -> ResponseReturnValue:
    """The very bytes of lvs.cf."""
    text = services().agent.config()
    if not text.exists:
        abort(404)
    return Response(text.text.encode("utf-8", "surrogateescape"), mimetype="text/plain")


def _as_it_is(basis: Basis) -> TypedFile:
    return TypedFile(basis.text.text if basis.text.exists else "", basis.etag)


def _page(basis: Basis, typed: TypedFile, notes: Notes, uploaded: str = "") -> str:
    findings = _findings(basis, typed, notes)
    return page(
        "lvs_cf/edit.html",
        Notes(words=notes.words),
        basis,
        typed=typed,
        edited=typed.text != basis.text.text,
        findings=findings,
        wrong=any(one.severity == "error" for one in findings),
        findings_shown=FINDINGS_SHOWN,
        lines=numbered(typed.text, findings),
        line_count=count_lines(typed.text),
        uploaded=uploaded,
        most_lines=EDITED_LINES,
        largest_file=size(LARGEST_FILE_BYTES),
        longest_note=LONGEST_NOTE,
    )


def _findings(basis: Basis, typed: TypedFile, notes: Notes) -> list[Finding]:
    """What there is to say about the text in the editor, in the order of its lines: ours, and what only the agent has found."""
    if not typed.text and not basis.text.exists:
        return []
    ours = basis.loaded.diagnostics if typed.text == basis.text.text else load(typed.text).diagnostics
    known = {(one.line, one.message) for one in ours}
    found: list[Finding] = [*ours, *(one for one in notes.findings if (one.line, one.message) not in known)]
    return sorted(found, key=lambda one: one.line)
