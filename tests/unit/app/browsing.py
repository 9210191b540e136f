"""A browser without JavaScript, small enough for unit tests: reads a page's forms and sends them as a browser would.

That means for a text field: the first line feed is dropped, every line end is LF while one types and CR LF when it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse


@dataclass
class Form:
    """One form of a page: where it posts to, what its fields say, and its buttons (words → value of ``action``, off or not).

    ``boxes`` are the values of its tick boxes, ticked or not.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, bool]] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """A page's forms, the text beside its fields, its visible words, and its tags."""

    def __init__(self, answer: TestResponse, client: FlaskClient) -> None:
        super().__init__(convert_charrefs=True)
        self.answer, self.client = answer, client
        self.status = answer.status_code
        self.html = answer.text
        self.forms: list[Form] = []
        self.by_id: dict[str, str] = {}
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self._select = ""
        self._area: str | None = None
        self._button: tuple[str, bool] | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "form":
            self.forms.append(Form(a.get("action", ""), a.get("method", "get")))
        elif tag == "input" and self.forms and "name" in a:
            self._input(a)
        elif tag == "textarea":
            self._area, self.forms[-1].fields[a["name"]] = a["name"], ""
        elif tag == "select":
            self._select = a["name"]
        elif tag == "option" and self._select and ("selected" in a or self._select not in self.forms[-1].fields):
            self.forms[-1].fields[self._select] = a["value"]
        elif tag == "button":
            self._button = (a.get("value", ""), "disabled" in a)
        elif tag == "p":
            self._open.append(a.get("id", ""))

    def _input(self, a: dict[str, str]) -> None:
        if a.get("type") == "checkbox":
            self.forms[-1].boxes[a["name"]] = a.get("value", "")
        if a.get("type") not in {"radio", "checkbox"} or "checked" in a:
            self.forms[-1].fields[a["name"]] = a.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and self._open:
            self._open.pop()
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            fields = self.forms[-1].fields
            fields[self._area] = fields[self._area].replace("\r\n", "\n").replace("\r", "\n").removeprefix("\n")
            self._area = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.forms[-1].fields[self._area] += data
        self.words += " " + " ".join(data.split()) if data.strip() else ""
        if self._open and self._open[-1]:
            self.by_id[self._open[-1]] = self.by_id.get(self._open[-1], "") + data
        if self._button is not None and self.forms and data.strip():
            self.forms[-1].buttons[data.strip()] = self._button

    def form_with(self, button: str) -> Form:
        """The last form that has this button."""
        return next(form for form in reversed(self.forms) if button in form.buttons)

    def error(self, name: str) -> str:
        """What is said in red beside a field."""
        return self.by_id.get(f"{name}-error", "")

    def warning(self, name: str) -> str:
        """What is said in amber beside a field."""
        return self.by_id.get(f"{name}-warning", "")

    def press(self, button: str, **typed: str | None) -> Page:
        """Type into the form that has the button (``None`` takes a tick out), press it, and follow where it leads."""
        form = self.form_with(button)
        action, disabled = form.buttons[button]
        assert not disabled, f"{button} is off"
        said = {name: value for name, value in {**form.fields, **typed}.items() if value is not None}
        data = MultiDict({name: value.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n") for name, value in said.items()})
        if action:
            data["action"] = action
        answer = self.client.open(form.action, method=form.method.upper(), data=data)
        return Page(self.client.get(answer.location) if answer.status_code in {302, 303} else answer, self.client)


def visit(client: FlaskClient, url: str) -> Page:
    return Page(client.get(url), client)


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ, old and new, for two texts with as many lines; serial_no left out."""
    old, new = before.splitlines(), after.splitlines()
    assert len(old) == len(new)
    return [(a.strip(), b.strip()) for a, b in zip(old, new, strict=True) if a != b and not a.startswith("serial_no")]


def added_lines(before: str, after: str) -> list[str]:
    """The lines that only the new text has; asserts that no other line went or moved.  serial_no left out."""
    old = [line for line in before.splitlines() if not line.startswith("serial_no")]
    new = [line for line in after.splitlines() if not line.startswith("serial_no")]
    extra, at = [], 0
    for line in new:
        if at < len(old) and line == old[at]:
            at += 1
        else:
            extra.append(line.strip())
    assert at == len(old), f"line {old[at]!r} went or moved"
    return extra
