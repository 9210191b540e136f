"""The base of every type on the agent's sockets."""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Immutable, keyword-only."""
