"""Reading the console's pages as a program: links, forms and their fields, and whether anything foreign became markup.

Owns parsing only; who fetches the pages is the caller's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit


@dataclass
class Form:
    """A form as a browser would submit it: ``fields`` hold the values there are, ``texts`` are those that somebody can type into."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Markup:
    """What is on a page."""

    links: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.url = url
        self.page = Markup()
        self._form: Form | None = None
        self._area = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.tags.add(tag)
        self.page.attributes.update(given)
        if tag == "a" and "href" in given:
            self.page.links.append(urljoin(self.url, given["href"]))
        elif tag == "form":
            self._form = Form(urljoin(self.url, given.get("action") or self.url), given.get("method", "get").lower())
            self.page.forms.append(self._form)
        elif self._form is not None:
            self._field(self._form, tag, given)

    def _field(self, form: Form, tag: str, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "button" and name:
            form.buttons.append((name, given.get("value", "")))
        elif tag == "textarea" and name:
            self._area = name
            form.fields[name] = ""
            form.texts.append(name)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in form.fields):
            form.fields[self._select] = given.get("value", "")
        elif tag == "input" and name:
            self._input(form, name, kind, given)

    def _input(self, form: Form, name: str, kind: str, given: dict[str, str]) -> None:
        if kind in {"checkbox", "radio"}:
            if "checked" in given:
                form.fields[name] = given.get("value", "on")
        elif kind == "submit":
            form.buttons.append((name, given.get("value", "")))
        else:
            form.fields[name] = given.get("value", "")
            if kind != "hidden":
                form.texts.append(name)

    def handle_data(self, data: str) -> None:
        if self._form is not None and self._area:
            self._form.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea" and self._area:
            if self._form is not None:
                self._form.fields[self._area] = self._form.fields[self._area].removeprefix("\n")
            self._area = ""
        elif tag == "select":
            self._select = ""


def read_page(text: str, url: str = "http://console/") -> Markup:
    """The page's links, forms, tags and attribute names."""
    reader = _Reader(url)
    reader.feed(text)
    reader.close()
    return reader.page


def path_of(url: str) -> str:
    """Path and query of a URL."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_inside(url: str, base: str = "http://console/") -> bool:
    """Whether ``url`` is of the same site."""
    return urlsplit(url)[:2] == urlsplit(base)[:2]
