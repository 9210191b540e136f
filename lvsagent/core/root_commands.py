"""Which commands of lvs.cf may be run as root: those that agent.toml lists, to the letter.

lvs.cf can be written from the web, so nothing in it may become a root shell.  Pure; it runs nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def permitted(command_line: str, root_commands: Sequence[str]) -> tuple[str, ...] | None:
    """The argv of a command line of lvs.cf, or ``None`` unless agent.toml lists exactly that line (every blank counts)."""
    return split(command_line) if command_line in root_commands else None


def argv_permitted(argv: Sequence[str], root_commands: Sequence[str]) -> bool:
    """Whether ``argv`` is what one of agent.toml's lines stands for."""
    return bool(argv) and tuple(argv) in {split(line) for line in root_commands}


def split(command_line: str) -> tuple[str, ...]:
    """Blanks separate, quotes hold together; no other character means anything.  ``()`` for a quote that is never closed."""
    try:
        return tuple(shlex.split(command_line))
    except ValueError:
        return ()
