"""What browsers are given: vendored files as they were published, our own without anything the policy forbids."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from flask.testing import FlaskClient

from app import factory

STATIC = Path(factory.__file__).parent / "static"
HTMX = STATIC / "vendor" / "htmx" / "htmx-2.0.11.min.js"


def test_htmx_is_the_published_file() -> None:
    assert hashlib.sha256(HTMX.read_bytes()).hexdigest() == "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
    assert 'version:"2.0.11"' in HTMX.read_text()


def test_every_vendored_library_has_its_licence() -> None:
    for folder in (STATIC / "vendor").iterdir():
        assert (folder / "LICENSE").stat().st_size > 100


def test_pages_load_the_pinned_htmx_without_eval_or_inline_styles(client: FlaskClient) -> None:
    page = client.get("/control").text
    assert "/static/vendor/htmx/htmx-2.0.11.min.js" in page
    for setting in ('"allowEval":false', '"includeIndicatorStyles":false', '"selfRequestsOnly":true', '"allowScriptTags":false'):
        assert setting in page


def test_templates_hold_no_inline_script_style_or_handler() -> None:
    for path in (STATIC.parent / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|\|\s*safe\b", text), path


def test_the_style_sheet_fetches_nothing() -> None:
    for path in STATIC.glob("css/*.css"):
        assert "url(" not in path.read_text()
        assert "@import" not in path.read_text()


def test_scripts_build_no_markup_and_evaluate_nothing() -> None:
    for path in STATIC.glob("js/*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", path.read_text()), path


def test_the_icon_is_served(client: FlaskClient) -> None:
    with client.get("/static/img/favicon.svg") as answer:
        assert answer.mimetype == "image/svg+xml"
