"""create_app(): settings → services → blueprints → error pages → headers.

Owns the order in which the console is put together and nothing else.  A test gives it an agent of its own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from flask import Flask

from app import auth, errors, frame, presentation
from app.passwd import PasswordFile
from app.services import make_services, sentence
from app.settings import ConsoleSettings
from app.views import (
    conflict,
    control,
    decisions,
    doctor,
    drift,
    failover,
    foreign,
    global_settings,
    guard,
    health,
    history,
    login,
    lvs_cf,
    monitoring_scripts,
    pairing,
    password,
    real_servers,
    redundancy,
    review,
    role,
    virtual_server,
    virtual_servers,
)
from app.views import help as help_page
from lvsagent.client import Agent

VIEWS = (
    login,
    password,
    control,
    role,
    global_settings,
    redundancy,
    pairing,
    virtual_servers,
    virtual_server,
    real_servers,
    decisions,
    monitoring_scripts,
    doctor,
    failover,
    lvs_cf,
    foreign,
    history,
    review,
    conflict,
    drift,
    guard,
    health,
    help_page,
)
LARGEST_REQUEST = 1_000_000
WORDS = ("duration", "size", "number", "rate", "percent", "clock", "iso", "plural", "badge", "host_port")


def create_app(
    settings: ConsoleSettings,
    agent: Agent | None = None,
    *,
    secret_key: bytes | str | None = None,
    passwords: PasswordFile | None = None,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The console.  Without ``secret_key`` sessions end with the process; ``piranha-gui`` gives the one it keeps."""
    app = Flask(__name__)
    app.response_class = frame.ConsoleResponse
    app.config.update(
        SECRET_KEY=secret_key or secrets.token_bytes(32),
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        MAX_FORM_MEMORY_SIZE=LARGEST_REQUEST,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.auto_reload = False
    app.jinja_env.filters.update({name: getattr(presentation, name) for name in WORDS} | {"sentence": sentence})
    frame.init_app(app, settings, make_services(agent or _real_agent(settings), wall))
    errors.init_app(app)
    auth.init_app(app, settings, auth.Auth(settings, passwords or PasswordFile(settings.password_path), wall, monotonic))
    for view in VIEWS:
        app.register_blueprint(view.blueprint)
    return app


def _real_agent(settings: ConsoleSettings) -> Agent:
    from lvsagent.client import AgentClient  # noqa: PLC0415 -- tests bring their own

    return AgentClient(settings.agent_socket)
