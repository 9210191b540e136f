"""The table is whole: it agrees with the model, and the documentation agrees with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from app.lvscf import BY_LEVEL, KEYWORDS, FailoverService, GlobalSettings, Keyword, Level, RealServer, ValueType, VirtualServer, load
from app.lvscf.keywords_doc import main, updated
from app.lvscf.values import interpret

DOCUMENT = Path(__file__).parents[3] / "docs" / "lvs-cf.md"
MODEL = {Level.GLOBAL: GlobalSettings(), Level.BLOCK: VirtualServer(name="x"), Level.SERVER: RealServer(name="x")}
OF_THE_MODEL_ALONE = {"name", "key", "servers", "effective_port"}

PIRANHA = {
    Level.GLOBAL: """serial_no primary backup primary_private backup_private primary_shared backup_shared backup_active heartbeat
        heartbeat_port keepalive deadtime service network nat_router nat_nmask rsh_command debug_level reservation_conflict_action
        monitor_links syncdaemon syncd_iface syncd_id tcp_timeout tcpfin_timeout udp_timeout hard_shutdown active_cmd inactive_cmd
        ipvsadm sync""",
    Level.BLOCK: "active address vip_nmask sorry_server fwmark protocol port scheduler persistent pmask load_monitor send expect use_regex "
    "send_program timeout reentry quiesce_server client_monitor start_cmd stop_cmd",
    Level.SERVER: "address active port weight",
}


@pytest.mark.parametrize("level", Level)
def test_every_field_of_the_model_is_a_keyword_with_the_same_default(level: Level) -> None:
    model = MODEL[level]
    assert {field.name for field in fields(model)} - OF_THE_MODEL_ALONE == BY_LEVEL[level].keys()  # type: ignore[arg-type]
    for keyword in BY_LEVEL[level].values():
        assert getattr(model, keyword.name) == keyword.default, keyword.name


def test_failover_services_have_the_keywords_of_virtual_servers() -> None:
    assert {field.name for field in fields(FailoverService)} - OF_THE_MODEL_ALONE == BY_LEVEL[Level.BLOCK].keys()


@pytest.mark.parametrize("level", Level)
def test_the_keywords_of_piranha_are_all_there(level: Level) -> None:
    assert {keyword.name for keyword in BY_LEVEL[level].values() if keyword.version == "Piranha"} == set(PIRANHA[level].split())


@pytest.mark.parametrize("keyword", KEYWORDS, ids=lambda keyword: f"{keyword.level.name}-{keyword.name}")
def test_defaults_can_be_written_out(keyword: Keyword) -> None:
    for text in (keyword.default_text, keyword.screens):
        if text is not None and keyword.type is not ValueType.HOST_DEVICE and keyword.name != "primary":
            assert interpret(keyword, [text]).used
    if keyword.screens is not None:
        assert [problem.code for problem in interpret(keyword, [keyword.screens]).problems] == []
    assert keyword.meaning.endswith(".")
    assert (keyword.words is not None) == (keyword.type is ValueType.WORD)


def test_a_file_that_names_every_default_says_nothing() -> None:
    named = [keyword for keyword in BY_LEVEL[Level.GLOBAL].values() if keyword.default_text and keyword.name != "primary"]
    lines = [f"{keyword.name} = {keyword.default_text}" for keyword in named]
    config = load("\n".join(lines) + "\n").config
    assert config.globals == GlobalSettings()


def test_the_documentation_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert updated(text) == text, "run: python -m app.lvscf.keywords_doc docs/lvs-cf.md"
    assert main(["--check", str(DOCUMENT)]) == 0


def test_the_documentation_can_be_made_anew(tmp_path: Path) -> None:
    stale = tmp_path / "lvs-cf.md"
    text = DOCUMENT.read_text(encoding="utf-8")
    stale.write_text(text.replace("`serial_no`", "`serial`"), encoding="utf-8")
    assert main(["--check", str(stale)]) == 1
    assert main([str(stale)]) == 0
    assert stale.read_text(encoding="utf-8") == text
    assert main([]) == 2
    with pytest.raises(ValueError, match="markers"):
        updated("no markers")
