"""Blocks of lvs.cf in URLs: ``<name:server>`` gives a view a Ref; ``url_for(…, server=ref_or_name)`` the way back."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from app.refs import Ref


class NameConverter(BaseConverter):
    """A block's name as one path segment, whatever is in it."""

    regex = "[^/]+"

    def to_python(self, value: str) -> Ref:
        return Ref.parse(value)

    def to_url(self, value: Ref | str) -> str:
        ref = value if isinstance(value, Ref) else Ref(value)
        return quote(ref.slug, safe="~!$&'()*+,;=:@")


def understand_names(blueprint: Blueprint) -> None:
    """Make ``<name:…>`` known to the application before the blueprint's routes are."""

    def tell(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["name"] = NameConverter

    blueprint.record_once(tell)
