"""What a configuration means: values that are each legal and together doubtful, or that cannot work.

Owns the rules between fields, blocks and the outside.  Syntax and single values are the reader's; nothing here changes anything.
"""

from __future__ import annotations

from app.lvscf.diagnostics import Diagnostic
from app.lvscf.document import Document
from app.lvscf.model import Config


def validate(config: Config, document: Document | None = None) -> tuple[Diagnostic, ...]:
    """What is doubtful or wrong about the meaning, in the order of the lines.

    With the document that ``config`` was read from, each finding names the directive's line; without it, the block's line or 0.
    """
    return ()
