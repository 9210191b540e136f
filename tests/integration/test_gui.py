"""``piranha-gui`` as a process: what it makes at its first start, how it refuses to start, what silent clients cost, how it stops."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from app.certificate import ensure_certificate, fingerprint
from app.gui import StartError, certificate_files, secret_key
from app.settings import ConsoleSettings
from tests.stack import free_port
from tests.waiting import until

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def write_config(folder: Path, port: int, *lines: str) -> Path:
    path = folder / "console.toml"
    agent = f'agent_socket = "{folder / "agent.sock"}"'
    path.write_text("\n".join((f"port = {port}", 'bind = "127.0.0.1"', f'state_dir = "{folder / "state"}"', agent, *lines)) + "\n")
    return path


@contextlib.contextmanager
def console(config: Path, port: int, patience_s: float = 10) -> Iterator[subprocess.Popen[bytes]]:
    """A running console that accepts connections."""
    program = f"import app.gui, sys; app.gui.SILENT_CLIENT_S = {patience_s}; sys.exit(app.gui.main())"
    with (config.parent / "said").open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", program, "--config", str(config)], stdout=said, stderr=said)
        try:
            until(lambda: answers(port) or process.poll() is not None, 20, lambda: f"no console: {words(config)}")
            assert process.poll() is None, words(config)
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def words(config: Path) -> str:
    return (config.parent / "said").read_text()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def https(port: int, cert: Path) -> http.client.HTTPSConnection:
    """A browser that trusts exactly this certificate."""
    context = ssl.create_default_context(cafile=str(cert))
    return http.client.HTTPSConnection("localhost", port, context=context, timeout=15)


def refused(config: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.gui", "--config", str(config)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_first_start_makes_a_certificate_and_a_key_that_nobody_else_reads(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, port)
    with console(config, port):
        connection = https(port, tmp_path / "state" / "console.crt")
        connection.request("GET", "/login")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"]
        assert b"piranha-passwd" in answer.read()
        connection.close()
    assert f"https://127.0.0.1:{port}/" in words(config)
    assert fingerprint(tmp_path / "state" / "console.crt") in words(config)
    for secret in ("console.key", "secret.key"):
        assert stat.S_IMODE((tmp_path / "state" / secret).stat().st_mode) == 0o600


def test_plain_http_on_loopback(tmp_path: Path) -> None:
    port = free_port()
    with console(write_config(tmp_path, port, "plain_http = true"), port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        connection.request("GET", "/login")
        assert connection.getresponse().status == 200
        connection.close()


def test_silent_clients_do_not_use_the_console_up(tmp_path: Path) -> None:
    port = free_port()
    with console(write_config(tmp_path, port, "threads = 2"), port, patience_s=0.5), contextlib.ExitStack() as held:
        for opening in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(opening)
        connection = https(port, tmp_path / "state" / "console.crt")
        connection.request("GET", "/login")
        assert connection.getresponse().status == 200
        connection.close()
    assert "Traceback" not in words(tmp_path / "console.toml")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_quick_and_clean(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    config = write_config(tmp_path, port, "plain_http = true")
    with console(config, port) as process:
        process.send_signal(number)
        assert process.wait(15) == 0
    assert not answers(port)
    assert "Traceback" not in words(config)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(write_config(tmp_path, port))
    assert f"port {port} is taken by another program" in said
    assert "--port" in said


def test_an_address_of_another_machine_is_said(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port())
    config.write_text(config.read_text().replace("127.0.0.1", "192.0.2.1"))
    assert "this machine has no address 192.0.2.1" in refused(config)


def test_plain_http_beyond_loopback_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), "plain_http = true")
    config.write_text(config.read_text().replace("127.0.0.1", "0.0.0.0"))
    assert "plain HTTP is for loopback only" in refused(config)


def test_bad_settings_are_refused_with_their_key(tmp_path: Path) -> None:
    assert "unknown key prot; did you mean port?" in refused(write_config(tmp_path, free_port(), "prot = 1"))


# --- certificate and key ---


def test_the_certificate_names_this_host_and_loopback(tmp_path: Path) -> None:
    cert, _key, made = ensure_certificate(tmp_path, "192.0.2.1", NOW)
    assert made
    names = x509.load_pem_x509_certificate(cert.read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = names.get_values_for_type(x509.DNSName)
    assert {"localhost", socket.gethostname()} <= set(hosts)
    assert {"127.0.0.1", "::1", "192.0.2.1"} <= {str(one) for one in names.get_values_for_type(x509.IPAddress)}


def test_the_certificate_is_kept_until_it_has_run_out(tmp_path: Path) -> None:
    cert, _key, _made = ensure_certificate(tmp_path, "127.0.0.1", NOW)
    first = fingerprint(cert)
    assert ensure_certificate(tmp_path, "127.0.0.1", NOW + dt.timedelta(days=3000))[2] is False
    assert ensure_certificate(tmp_path, "127.0.0.1", NOW + dt.timedelta(days=3651))[2] is True
    assert fingerprint(cert) != first


def test_a_damaged_certificate_of_our_own_is_made_again(tmp_path: Path) -> None:
    cert, _key, _made = ensure_certificate(tmp_path, "127.0.0.1", NOW)
    cert.write_text("rubbish")
    assert ensure_certificate(tmp_path, "127.0.0.1", NOW)[2] is True


def test_a_given_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    cert, key, _made = ensure_certificate(tmp_path / "a", "127.0.0.1", NOW)
    _other, wrong, _made = ensure_certificate(tmp_path / "b", "127.0.0.1", NOW)
    with pytest.raises(StartError, match="not a certificate and its private key"):
        certificate_files(ConsoleSettings(tls_cert=str(cert), tls_key=str(wrong)))
    with pytest.raises(StartError, match=r"missing\.pem cannot be read"):
        certificate_files(ConsoleSettings(tls_cert=str(cert), tls_key=str(tmp_path / "missing.pem")))
    assert certificate_files(ConsoleSettings(tls_cert=str(cert), tls_key=str(key))) == (cert, key)


def test_the_secret_key_is_kept_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    first = secret_key(tmp_path)
    assert len(first) == 32
    assert secret_key(tmp_path) == first
    (tmp_path / "secret.key").write_text("not hexadecimal")
    with pytest.raises(StartError, match="is damaged"):
        secret_key(tmp_path)


def test_a_state_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError, match="state_dir"):
        secret_key(tmp_path / "file" / "state")
    with pytest.raises(StartError, match="state_dir"):
        certificate_files(ConsoleSettings(state_dir=str(tmp_path / "file" / "state")))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
