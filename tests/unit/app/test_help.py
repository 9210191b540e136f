"""HELP: every keyword of lvs.cf, and every field's link leads to one."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from app.lvscf import KEYWORDS
from tests.unit.app.browsing import visit

PAGES = [
    "/global-settings",
    "/redundancy",
    "/virtual-servers/add",
    "/virtual-servers/http/real-servers/add",
    "/virtual-servers/http/monitoring-scripts",
    "/failover/add",
]


def test_names_every_keyword_once(client: FlaskClient) -> None:
    ids = re.findall(r'<dt id="([^"]+)"', visit(client, "/help").html)
    assert len(ids) == len(set(ids))
    assert {one.name for one in KEYWORDS} <= {name.rpartition(".")[2] for name in ids}


@pytest.mark.parametrize("url", PAGES)
def test_every_fields_link_leads_to_its_keyword(client: FlaskClient, url: str) -> None:
    ids = set(re.findall(r'<dt id="([^"]+)"', visit(client, "/help").html))
    links = re.findall(r'href="/help#([^"]+)"', visit(client, url).html)
    assert links
    assert set(links) <= ids
