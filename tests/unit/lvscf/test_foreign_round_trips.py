"""There and back: what both languages can say is the same after it went out and came in again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from app.lvscf import Config, diff, load, render
from app.lvscf.foreign import Source, Verdict, export_ipvsadm, export_keepalived, guess, import_text
from tests.unit.lvscf.foreign_strategies import for_ipvsadm, for_keepalived


def differences(before: Config, after: Config) -> list[str]:
    return [change.words for change in diff(before, after)]


@pytest.mark.parametrize("node", ["primary", "backup"])
@settings(max_examples=150)
@given(config=for_keepalived())
def test_keepalived_conf_says_all_of_it(node: str, config: Config) -> None:
    exported = export_keepalived(config, "primary" if node == "primary" else "backup")
    assert guess(exported.text) is Source.KEEPALIVED
    imported = import_text(exported.text)
    assert differences(config, imported.config) == []
    assert imported.config == config
    assert not [line for line in imported.lines if line.verdict in {Verdict.LOST, Verdict.ERROR}]


@settings(max_examples=150)
@given(config=for_ipvsadm())
def test_ipvsadm_rules_say_all_of_it(config: Config) -> None:
    exported = export_ipvsadm(config)
    assert guess(exported.text) is Source.IPVSADM
    imported = import_text(exported.text, device="eth1")
    assert differences(config, imported.config) == []
    assert imported.config == config


@settings(max_examples=60)
@given(config=for_keepalived())
def test_what_is_imported_is_an_lvs_cf_without_errors(config: Config) -> None:
    imported = import_text(export_keepalived(config).text)
    assert imported.text == render(imported.config)
    again = load(imported.text)
    assert again.ok
    assert replace(again.config) == imported.config
