"""What a screen's form edits: lvs.cf's globals, or one of its blocks.

Owns how a form finds its target in a configuration and puts the edited one back; fields and rules are the screens' own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from werkzeug.datastructures import MultiDict

from app.forms.base import ScreenForm
from app.lvscf.model import Config
from app.refs import Ref, index_of, replaced

BlockKind = Literal["virtual", "failover"]


class GlobalsForm(ScreenForm):
    """A form over the directives outside any block."""

    @classmethod
    def from_config(cls, config: Config, etag: str = "") -> Self:
        """The form as lvs.cf has it."""
        form = cls()
        form.start(config, etag)
        return form

    def target(self, config: Config) -> Any:
        return config.globals

    def with_target(self, config: Config, target: Any) -> Config:
        return replace(config, globals=target)


class BlockForm(ScreenForm):
    """A form over one ``virtual`` or ``failover`` block, named by ``ref``; one that is ``adding`` puts ``new`` at the end of its kind."""

    blocks: ClassVar[BlockKind] = "virtual"
    new: ClassVar[Any] = None
    ref: Ref

    @classmethod
    def from_config(cls, config: Config, ref: Ref, etag: str = "") -> Self:
        """The form as lvs.cf has the block.  Raises LookupError when there is none of that name."""
        form = cls()
        form.ref = ref
        form.start(config, etag)
        return form

    @classmethod
    def from_post(cls, config: Config, ref: Ref, formdata: MultiDict[str, str]) -> Self:
        """The form as it was typed."""
        form = cls()
        form.ref = ref
        form.take(config, formdata)
        return form

    def target(self, config: Config) -> Any:
        return self.new if self.adding else blocks_of(config, self.blocks)[place_of(config, self.blocks, self.ref)]

    def with_target(self, config: Config, target: Any) -> Config:
        if self.adding:
            return _with_blocks(config, self.blocks, (*blocks_of(config, self.blocks), target))
        return _with_block(config, self.blocks, self.ref, target)


def blocks_of(config: Config, kind: BlockKind) -> tuple[Any, ...]:
    """All blocks of a kind, in the file's order."""
    return config.virtual if kind == "virtual" else config.failover


def place_of(config: Config, kind: BlockKind, ref: Ref) -> int:
    """Where the block stands among its kind.  Raises LookupError."""
    return index_of(blocks_of(config, kind), ref)


def activated(config: Config, kind: BlockKind, ref: Ref, *, on: bool) -> Config:
    """The block switched on or off.  Raises LookupError."""
    block = blocks_of(config, kind)[place_of(config, kind, ref)]
    return _with_block(config, kind, ref, replace(block, active=on))


def deleted(config: Config, kind: BlockKind, ref: Ref) -> Config:
    """``config`` without the block and all that is in it.  Raises LookupError."""
    return _with_block(config, kind, ref, None)


def _with_block(config: Config, kind: BlockKind, ref: Ref, block: Any) -> Config:
    return _with_blocks(config, kind, replaced(blocks_of(config, kind), place_of(config, kind, ref), block))


def _with_blocks(config: Config, kind: BlockKind, blocks: tuple[Any, ...]) -> Config:
    return replace(config, virtual=blocks) if kind == "virtual" else replace(config, failover=blocks)
