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
    """A form over one ``virtual`` or ``failover`` block, named by ``ref``."""

    blocks: ClassVar[Literal["virtual", "failover"]] = "virtual"
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
        blocks = getattr(config, self.blocks)
        return blocks[index_of(blocks, self.ref)]

    def with_target(self, config: Config, target: Any) -> Config:
        blocks = getattr(config, self.blocks)
        change: dict[str, Any] = {self.blocks: replaced(blocks, index_of(blocks, self.ref), target)}
        return replace(config, **change)
