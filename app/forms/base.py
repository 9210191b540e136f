"""What every editing screen's form does, whatever its fields.

A form remembers what each field said when the page was made (``was``) and changes only the fields that were really changed.  From that
follow: an unchanged field is never judged nor rewritten (the file may say more than a screen can), two people's changes to different fields
merge, and a stale edit can be put on top of the newer file.  Pure: ``from_config`` and ``apply_to`` do no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from werkzeug.datastructures import MultiDict
from wtforms import Form, HiddenField, StringField
from wtforms.form import BaseForm
from wtforms.validators import ValidationError

from app.forms.values import Choice, Flag, Kind, Number, Rejected, Seconds, readable
from app.lvscf.model import NO_ADDRESS, Config, HostDevice


@dataclass(frozen=True, kw_only=True)
class About:
    """What a field is about: which keyword it edits, how it is read from and put into its target, and the words around it."""

    keyword: str
    help: str = ""
    unit: str = ""
    piranha: str = ""
    control: str = "text"
    suggestions: tuple[str, ...] = ()
    read: Callable[[Any], Any] | None = None
    put: Callable[[Any, Any], Any] | None = None


class Setting(StringField):
    """A field of a screen: text as typed, its kind, and what it is about.  ``was`` is what it said when the page was made."""

    def __init__(self, label: str, kind: Kind, about: About, **kwargs: Any) -> None:
        super().__init__(label, **kwargs)
        self.kind = kind
        self.about = about
        self.was = ""
        self.value: Any = None
        self.judged = False
        self.warnings: list[str] = []

    @property
    def typed(self) -> str:
        return str(self.data or "")

    @property
    def changed(self) -> bool:
        return self.typed != self.was

    @property
    def shape(self) -> str:
        """How wide and in which letters the entry is: class names."""
        if isinstance(self.kind, Number):
            return "short" if self.kind.high < 10**7 else "medium"
        if isinstance(self.kind, Seconds):
            return "short"
        return "" if self.about.keyword in {"virtual", "server", "failover"} else "mono"

    @property
    def choices(self) -> Iterable[tuple[str, str]]:
        return self.kind.offered(self.typed or self.was) if isinstance(self.kind, Choice) else ()

    def shown(self, target: Any) -> str:
        """What the field says for ``target``."""
        value = self.about.read(target) if self.about.read else getattr(target, self.short_name)
        return readable(self.kind.show(value))

    def put(self, target: Any) -> Any:
        """``target`` with this field's new value."""
        if self.about.put:
            return self.about.put(target, self.value)
        return replace(target, **{self.short_name: self.value})

    def process_formdata(self, valuelist: list[Any]) -> None:
        if valuelist:
            self.data = readable(str(valuelist[0]))

    def pre_validate(self, form: BaseForm) -> None:
        """Judge what was typed, unless it is what the page said anyway."""
        del form  # a field judges itself; what several say together is ScreenForm.check's
        if not self.changed and not self.judged:
            return
        try:
            self.value = self.kind.parse(self.typed)
        except Rejected as error:
            raise ValidationError(str(error)) from None


@dataclass(frozen=True)
class Group:
    """Fields that belong together on the screen, in the administrator's terms."""

    title: str
    fields: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Meanwhile:
    """A field that changed in the file while the form was open: what the page said, what was typed, what the file says now."""

    label: str
    was: str
    typed: str
    now: str
    conflict: bool = field(default=False)


class ScreenForm(Form):
    """Base of the screens' forms.  A subclass names its fields, its groups, and how to find and replace its target in a Config."""

    groups: ClassVar[tuple[Group, ...]] = ()
    adding: ClassVar[bool] = False

    etag = HiddenField()
    was = HiddenField()

    config: Config

    # --- what a subclass says -------------------------------------------------------------------------------------------------

    def target(self, config: Config) -> Any:
        """The part of ``config`` that this form edits.  Raises LookupError when it is not there (any more)."""
        raise NotImplementedError

    def with_target(self, config: Config, target: Any) -> Config:
        """``config`` with that part replaced."""
        raise NotImplementedError

    def check(self) -> None:
        """What only several fields together can tell: add to their errors with ``reject``."""

    # --- making one -----------------------------------------------------------------------------------------------------------

    def start(self, config: Config, etag: str) -> None:
        """Fill every field from ``config``."""
        self.config = config
        target = self.target(config)
        self.etag.data = etag
        for setting in self.settings:
            setting.data = setting.was = setting.shown(target)
            setting.judged = self.adding
        self._remember()

    def take(self, config: Config, formdata: MultiDict[str, str]) -> None:
        """Fill every field from what was posted; one that was not posted keeps what ``config`` says (a checkbox is then unticked)."""
        self.config = config
        target = self._target_or_none(config)
        said = _decoded(formdata.get("was", ""))
        self.process(formdata)
        for setting in self.settings:
            now = "" if target is None else setting.shown(target)
            setting.was = said.get(setting.short_name, now)
            setting.judged = self.adding
            if setting.short_name not in formdata:
                setting.data = "" if isinstance(setting.kind, Flag) else setting.was
        self._remember()

    def rebase(self, config: Config, etag: str) -> None:
        """Put what was typed on top of a newer ``config``: fields that were not touched take its values."""
        self.config = config
        self.etag.data = etag
        target = self.target(config)
        for setting in self.settings:
            touched, setting.was = setting.changed, setting.shown(target)
            if not touched:
                setting.data = setting.was
        self._remember()

    def _remember(self) -> None:
        self.was.data = json.dumps({setting.short_name: setting.was for setting in self.settings}, ensure_ascii=False)

    def _target_or_none(self, config: Config) -> Any:
        try:
            return self.target(config)
        except LookupError:
            return None

    # --- using it ---------------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> list[Setting]:
        return [item for item in self if isinstance(item, Setting)]

    def setting(self, name: str) -> Setting:
        """The field of that name.  Raises KeyError."""
        item = self[name]
        if not isinstance(item, Setting):
            raise KeyError(name)
        return item

    @property
    def changed(self) -> list[Setting]:
        return [setting for setting in self.settings if setting.changed]

    @property
    def error_count(self) -> int:
        return sum(1 for setting in self.settings if setting.errors)

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        """Judge every changed field, then what the fields say together."""
        super().validate(extra_validators)
        self.check()
        return not any(setting.errors for setting in self.settings)

    def reject(self, name: str, words: str) -> None:
        """Put an error beside a field."""
        setting = self.setting(name)
        setting.errors = [*setting.errors, words]

    def check_pair(self, host: str, device: str, needs: str, example: str) -> None:
        """An address and its interface come together or not at all."""
        first, second = self.setting(host), self.setting(device)
        if not (first.changed or second.changed or self.adding) or first.errors or second.errors:
            return
        if first.typed.strip() and not second.typed.strip():
            self.reject(device, f"{needs} an interface to live on, such as {example}.")
        if second.typed.strip() and not first.typed.strip():
            self.reject(host, f"{needs} an address as well as an interface.")

    def apply_to(self, config: Config) -> Config:
        """``config`` with the changed fields applied; call after ``validate`` has said yes.  Raises LookupError when the target is gone."""
        target = self.target(config)
        for setting in self.settings:
            if setting.changed or setting.judged:
                target = setting.put(target)
        return self.with_target(config, target)

    def meanwhile(self, config: Config) -> tuple[Meanwhile, ...]:
        """The fields whose value in ``config`` is no longer what the page said.  Empty too when the target is gone."""
        target = self._target_or_none(config)
        if target is None:
            return ()
        return tuple(
            Meanwhile(setting.label.text, setting.was, setting.typed, now, setting.changed and setting.typed != now)
            for setting in self.settings
            if (now := setting.shown(target)) != setting.was
        )

    def fields_to_carry(self) -> list[tuple[str, str]]:
        """Everything that was typed, as pairs for hidden fields on a page in between."""
        pairs = [("etag", str(self.etag.data or "")), ("was", str(self.was.data or ""))]
        pairs += [(s.short_name, s.typed) for s in self.settings if not (isinstance(s.kind, Flag) and not s.typed)]
        return pairs


def _decoded(text: str) -> dict[str, str]:
    """The ``was`` field back as a mapping; anything else that may have been posted there counts as nothing said."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {str(key): readable(value) for key, value in said.items() if isinstance(value, str)}


# --- "HOST DEVICE" is two fields on the screens ----------------------------------------------------------------------------------


def host_of(attribute: str) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """How the address half of a ``HOST DEVICE`` value is read and put."""

    def read(target: Any) -> str | None:
        pair: HostDevice | None = getattr(target, attribute)
        return pair.host if pair else None

    def put(target: Any, host: str | None) -> Any:
        pair: HostDevice | None = getattr(target, attribute)
        return replace(target, **{attribute: _pair(host or "", pair.device if pair else "")})

    return read, put


def device_of(attribute: str) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """How the interface half of a ``HOST DEVICE`` value is read and put."""

    def read(target: Any) -> str | None:
        pair: HostDevice | None = getattr(target, attribute)
        return pair.device if pair else None

    def put(target: Any, device: str) -> Any:
        pair: HostDevice | None = getattr(target, attribute)
        return replace(target, **{attribute: _pair(pair.host if pair else "", device)})

    return read, put


def _pair(host: str, device: str) -> HostDevice | None:
    """The two halves together; neither given is no pair."""
    return HostDevice(host, device) if device or host not in ("", NO_ADDRESS) else None
