"""HELP: every keyword of lvs.cf, from the table that drives the parser, with one anchor a keyword; works with no network."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app.lvscf import KEYWORDS, Keyword, Level

blueprint = Blueprint("help", __name__)

LEVELS = (
    (Level.GLOBAL, "Outside any block"),
    (Level.BLOCK, "In a virtual or failover block"),
    (Level.SERVER, "In a server block"),
)
BLOCKS = (
    ("virtual", "virtual NAME {", "One virtual server: an address and port for clients, and the real servers behind it."),
    ("server", "server NAME {", "One real server, inside a virtual block."),
    ("failover", "failover NAME {", "One service of a service = fos pair."),
)


@blueprint.get("/help")
def keywords() -> ResponseReturnValue:
    """The page that the fields' "More" leads to."""
    return render_template(
        "help/keywords.html", levels=[(title, [(anchor(one), one) for one in _of(level)]) for level, title in LEVELS], blocks=BLOCKS
    )


def _of(level: Level) -> list[Keyword]:
    return [one for one in KEYWORDS if one.level is level]


def anchor(one: Keyword) -> str:
    """The fragment of a keyword: its name, ``server.`` before those that mean something else outside a server block."""
    return f"server.{one.name}" if one.level is Level.SERVER and one.name != "weight" else one.name
