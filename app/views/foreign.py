"""IMPORT AND EXPORT: another program's configuration taken into lvs.cf after a look at every line, and lvs.cf given out in its words."""

from __future__ import annotations

from contextlib import closing

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.forms.foreign_file import SOURCES, WAYS, ForeignFile, NotConvertible, take
from app.forms.values import readable
from app.lvscf.foreign import Exported, Verdict, export_ipvsadm, export_keepalived
from app.presentation import size
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, page

blueprint = Blueprint("foreign", __name__)

LARGEST_FILE_BYTES = 2 * 1024 * 1024
LARGEST_REQUEST = 2 * LARGEST_FILE_BYTES + 1_000_000
LINES_SHOWN = 2000
OVERTAKEN = "What you import is put on top of the new file."
KINDS = {
    Verdict.BECAME: "up",
    Verdict.NEEDLESS: "idle",
    Verdict.KEPT: "warn",
    Verdict.LOST: "warn",
    Verdict.ERROR: "down",
}
"""The shape and colour of each verdict."""
WORDS = {
    Verdict.BECAME: "became",
    Verdict.NEEDLESS: "not needed",
    Verdict.KEPT: "kept for later",
    Verdict.LOST: "no counterpart",
    Verdict.ERROR: "not understood",
}


@blueprint.url_value_preprocessor
def _allow_a_whole_file(_endpoint: str | None, _values: object) -> None:
    """These pages take more than a form's few fields; said before anything reads the request."""
    request.max_content_length = request.max_form_memory_size = LARGEST_REQUEST


@blueprint.route("/import", methods=["GET", "POST"])
def take_in() -> ResponseReturnValue:
    """Paste or upload; READ shows what every line becomes, REVIEW and ACCEPT do it."""
    basis = basis_now()
    if request.method == "GET":
        return _page(basis, ForeignFile(etag=basis.etag), NO_NOTES)
    typed = take(request.form)
    if request.form.get("action", "read") == "read":
        return _read(basis, typed)
    home = url_for("virtual_servers.index")
    return decide(
        Screen(
            title="Import",
            here=url_for("foreign.take_in"),
            show=lambda notes: _page(basis, typed, notes),
            done=lambda: home,
            home=home,
            whole=typed,
            overtaken=OVERTAKEN,
        )
    )


@blueprint.get("/export/<any(keepalived, ipvsadm):target>")
def give_out(target: str) -> ResponseReturnValue:
    """lvs.cf for another program, as a file to keep."""
    basis = basis_now()
    if not basis.text.exists or not basis.loaded.ok:
        words = "lvs.cf has errors, so nothing was exported." if basis.text.exists else "There is no lvs.cf yet, so nothing was exported."
        return _page(basis, ForeignFile(etag=basis.etag), Notes(words=(words,))), 409
    exported, name = _exported(basis, target)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(exported.text.encode("utf-8", "surrogateescape"), mimetype="text/plain", headers=headers)


def _exported(basis: Basis, target: str) -> tuple[Exported, str]:
    if target == "ipvsadm":
        return export_ipvsadm(basis.config), "ipvsadm.rules"
    node = "backup" if request.args.get("node") == "backup" else "primary"
    return export_keepalived(basis.config, "backup" if node == "backup" else "primary"), f"keepalived-{node}.conf"


def _read(basis: Basis, typed: ForeignFile) -> ResponseReturnValue:
    """The report, of an uploaded file where there is one; nothing is written."""
    chosen = request.files.get("file")
    data = b""
    if chosen:
        with closing(chosen):
            data = chosen.read(LARGEST_FILE_BYTES + 1)
    if len(data) > LARGEST_FILE_BYTES:
        name = readable((chosen.filename if chosen else "") or "the file")
        return _page(basis, typed, Notes(words=(f"{name} is larger than {size(LARGEST_FILE_BYTES)}, the largest that is read here.",))), 413
    typed.etag = basis.etag
    if data:
        typed.text = data.decode("utf-8", "surrogateescape")
    try:
        typed.read()
    except NotConvertible as error:
        return _page(basis, typed, Notes(words=(f"It could not be read: {error}.",))), 422
    return _page(basis, typed, NO_NOTES)


def _page(basis: Basis, typed: ForeignFile, notes: Notes) -> str:
    try:
        imported = typed.read() if typed.text.strip() else None
    except NotConvertible:
        imported = None
    lines = [line for line in imported.lines if line.words] if imported else []
    return page(
        "foreign/import.html",
        notes,
        basis,
        typed=typed,
        imported=imported,
        lines=lines[:LINES_SHOWN],
        hidden=max(len(lines) - LINES_SHOWN, 0),
        attention=[line for line in lines if line.verdict in {Verdict.LOST, Verdict.ERROR}][:LINES_SHOWN],
        words=(*typed.taken(basis).words, *imported.remarks) if imported else (),
        kinds=KINDS,
        verdicts=WORDS,
        sources=SOURCES,
        ways=WAYS,
        largest_file=size(LARGEST_FILE_BYTES),
        two_directors=basis.config.globals.backup_active,
    )
