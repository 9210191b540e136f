"""``piranha-gui``: the console behind gunicorn, HTTPS on port 3636.

Owns what happens once at start: settings, secret key, certificate, the listening socket; every failure is one line in words and exit
code 1.  One worker process with threads: logins are counted and caches kept in one place.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import errno
import logging
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from app.certificate import ensure_certificate, fingerprint
from app.factory import create_app
from app.files import replace_file
from app.settings import DEFAULT_PATH, ConsoleSettings, SettingsError, check_settings, load_settings, override

SILENT_CLIENT_S = 10.0
"""A client that says nothing for so long in the middle of a handshake or a request gives its thread back."""
KEY_BYTES = 32


class StartError(Exception):
    """The console cannot start; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console until SIGTERM or Ctrl-C."""
    arguments = _arguments(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))  # until gunicorn listens to them itself
    try:
        settings = override(_settings(arguments.config), port=arguments.port, bind=arguments.bind)
        key = secret_key(Path(settings.state_dir))
        files = certificate_files(settings)
        listener = listen(settings)
    except (SettingsError, StartError) as error:
        print(f"piranha-gui: {error}", file=sys.stderr)
        return 1
    print(f"piranha-gui: {address(settings)}", flush=True)
    Server(settings, files, listener, lambda: create_app(settings, secret_key=key)).run()
    return 0


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn with our settings alone: no file, no environment and no command line of its own."""

    def __init__(
        self, settings: ConsoleSettings, files: tuple[Path, Path] | None, listener: socket.socket, make: Callable[[], Flask]
    ) -> None:
        self._settings, self._files, self._listener, self._make = settings, files, listener, make
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn."""
        wanted: dict[str, Any] = {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "keepalive": 15,
            "timeout": 60,
            "graceful_timeout": 10,
            "proc_name": "piranha-gui",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "limit_request_line": 8190,
            "loglevel": "warning",
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 -- gunicorn's heartbeat, not a file of ours
        }
        if self._files is not None:
            context = _tls_context(self._files)
            wanted |= {"certfile": str(self._files[0]), "keyfile": str(self._files[1]), "ssl_context": lambda _config, _default: context}
        for name, value in wanted.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called by gunicorn in the worker."""
        logging.getLogger("app").setLevel(logging.INFO)
        return self._make()


def address(settings: ConsoleSettings) -> str:
    """The address to type into a browser."""
    anywhere = settings.bind in {"0.0.0.0", "::", ""}  # noqa: S104 -- compared, not bound
    host = socket.gethostname() if anywhere else settings.bind
    return f"{'https' if settings.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{settings.port}/"


def listen(settings: ConsoleSettings) -> socket.socket:
    """The listening socket.  Raises StartError in words."""
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.bind, settings.port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise StartError(_bind_words(settings, error)) from error
    return listener


def _bind_words(settings: ConsoleSettings, error: OSError) -> str:
    where = f"{settings.bind}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} is taken by another program (ss -ltnp shows which); "
            "choose another with --port, or with `port` in console.toml"
        )
    if error.errno == errno.EACCES:
        return f"no permission to listen on {where}: ports below 1024 need root"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"this machine has no address {settings.bind}; see `bind` in console.toml"
    return f"cannot listen on {where}: {error.strerror}"


def secret_key(folder: Path) -> bytes:
    """The key that signs sessions: made at the first start, kept in the state folder, readable by the console alone."""
    path = folder / "secret.key"
    try:
        with contextlib.suppress(FileNotFoundError):
            key = bytes.fromhex(path.read_text("ascii").strip())
            if len(key) >= KEY_BYTES:
                return key
        key = secrets.token_bytes(KEY_BYTES)
        replace_file(path, key.hex().encode() + b"\n")
    except ValueError:
        raise StartError(f"{path} is damaged: delete it, and a new one is made (whoever is logged in must log in again)") from None
    except OSError as error:
        raise StartError(f"{path} cannot be used: {error.strerror}; see `state_dir` in console.toml") from error
    return key


def certificate_files(settings: ConsoleSettings) -> tuple[Path, Path] | None:
    """Certificate and key, tried out; ``None`` for plain HTTP.  Raises StartError."""
    if not settings.tls:
        return None
    if settings.tls_cert:
        files = Path(settings.tls_cert), Path(settings.tls_key)
    else:
        folder = Path(settings.state_dir)
        try:
            cert, key, made = ensure_certificate(folder, settings.bind, dt.datetime.now(dt.UTC))
        except OSError as error:
            raise StartError(f"no certificate can be made in {folder}: {error.strerror}; see `state_dir` in console.toml") from error
        if made:
            print(f"piranha-gui: made a certificate of its own, {cert}\npiranha-gui: its SHA-256 fingerprint is {fingerprint(cert)}")
        files = cert, key
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
    except ssl.SSLError as error:
        raise StartError(f"{files[0]} and {files[1]} are not a certificate and its private key ({error.reason or error})") from error
    except OSError as error:
        missing = next((path for path in files if not path.exists()), files[1])
        raise StartError(f"{missing} cannot be read: {error.strerror}") from error
    return files


class PatientSocket(ssl.SSLSocket):
    """A connection that waits for its client, but not for ever as gunicorn would: silence counts as gone."""

    def settimeout(self, value: float | None) -> None:
        super().settimeout(SILENT_CLIENT_S if value is None else value)

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def do_handshake(self, block: bool = False) -> None:
        with _silence_is_gone():
            super().do_handshake(block)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        with _silence_is_gone():
            return super().recv(buflen, flags)


@contextlib.contextmanager
def _silence_is_gone() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ConnectionResetError(errno.ECONNRESET, "the client fell silent") from None


def _tls_context(files: tuple[Path, Path]) -> ssl.SSLContext:
    """Made once at start, so that the worker needs neither the key file nor time for it later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*files)
    context.sslsocket_class = PatientSocket
    return context


def _settings(path: Path | None) -> ConsoleSettings:
    if path is None and not DEFAULT_PATH.exists():
        return check_settings(ConsoleSettings())
    return load_settings(path or DEFAULT_PATH)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="piranha-gui", description="Serve the web console of a Linux Virtual Server router.")
    parser.add_argument("--config", metavar="PATH", type=Path, help=f"the console's settings (default {DEFAULT_PATH})")
    parser.add_argument("--port", type=int, help="instead of the settings' port")
    parser.add_argument("--bind", metavar="ADDRESS", help="instead of the settings' address")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
