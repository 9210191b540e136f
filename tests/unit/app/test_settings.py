"""console.toml: every key read, everything else refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import ConsoleSettings, SettingsError, load_settings, override, parse_settings

WHOLE = """\
bind = "192.0.2.1"
port = 8443
plain_http = false
agent_socket = "/run/a.sock"
password_file = "/etc/p"
state_dir = "/var/lib/c"
session_idle_minutes = 15
session_hours = 4
threads = 8
[tls]
cert = "/etc/c.pem"
key = "/etc/k.pem"
"""


def test_reads_every_key() -> None:
    assert parse_settings(WHOLE) == ConsoleSettings(
        bind="192.0.2.1",
        port=8443,
        agent_socket="/run/a.sock",
        password_file="/etc/p",
        state_dir="/var/lib/c",
        session_idle_minutes=15,
        session_hours=4,
        threads=8,
        tls_cert="/etc/c.pem",
        tls_key="/etc/k.pem",
    )


def test_an_empty_file_is_https_on_3636() -> None:
    settings = parse_settings("")
    assert (settings.port, settings.tls) == (3636, True)
    assert settings.password_path == Path("/var/lib/piranha/piranha.passwd")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "unknown key prot; did you mean port?"),
        ("session_minutes = 1", "did you mean session_idle_minutes?"),
        ("zzz = 1", "unknown key zzz; known keys: "),
        ("tls_cert = 'x'", "unknown key tls_cert"),
        ("[tls]\ncrt = 'x'", "unknown key tls.crt; did you mean tls.cert?"),
        ("tls = true", r"tls: must be a table"),
        ("[tls]\ncert = 1\nkey = 'k'", "tls.cert: must be the path of a file"),
        ("[tls]\ncert = 'c'", "tls.cert is given without tls.key"),
        ("[tls]\nkey = 'k'", "tls.key is given without tls.cert"),
        ("port = '3636'", "port: must be a whole number, not '3636'"),
        ("port = true", "port: must be a whole number, not True"),
        ("port = 0", "port: must be between 1 and 65535, not 0"),
        ("threads = 1", "threads: must be between 2 and 256"),
        ("bind = 1", "bind: must be text in quotes"),
        ("plain_http = 1", "plain_http: must be true or false"),
        ("plain_http = true", "plain HTTP is for loopback only"),
        ("plain_http = true\nbind = '192.0.2.1'", "plain HTTP is for loopback only"),
    ],
)
def test_refuses_in_words(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("?", r"\?").replace(".", r"\.")):
        parse_settings(text)


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_plain_http_is_allowed_on_loopback(bind: str) -> None:
    assert not parse_settings(f"plain_http = true\nbind = '{bind}'").tls


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "console.toml"
    with pytest.raises(SettingsError, match=r"console\.toml: there is no such file"):
        load_settings(path)
    path.write_text("port = \n")
    with pytest.raises(SettingsError, match=r"console\.toml: .*line 1"):
        load_settings(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"console\.toml: "):
        load_settings(path)


def test_the_command_line_overrides_and_is_checked_as_well() -> None:
    settings = override(ConsoleSettings(bind="127.0.0.1", plain_http=True), port=99, bind=None)
    assert (settings.port, settings.bind) == (99, "127.0.0.1")
    with pytest.raises(SettingsError, match="loopback only"):
        override(settings, bind="0.0.0.0")
    with pytest.raises(SettingsError, match="between 1 and 65535"):
        override(settings, port=70000)
