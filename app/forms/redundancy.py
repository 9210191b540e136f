"""REDUNDANCY: the second director, the heartbeat between the two, and connection synchronisation."""

from __future__ import annotations

from dataclasses import replace

from app.forms.base import About, Group, Setting
from app.forms.targets import GlobalsForm
from app.forms.values import Device, Flag, Host, Number, Seconds
from app.lvscf.model import NO_ADDRESS, Config, GlobalSettings

RESET_VALUES = GlobalSettings(keepalive=6, deadtime=18, heartbeat_port=539)
"""What RESET puts into the fields: Piranha's screen defaults."""
RESET_FIELDS = ("keepalive", "deadtime", "heartbeat_port", "monitor_links", "syncdaemon", "syncd_iface", "syncd_id")


class RedundancyForm(GlobalsForm):
    """Edits the redundancy half of ``Config.globals``; ENABLE and DISABLE are ``switched``."""

    groups = (
        Group("Redundant director", ("backup", "backup_private")),
        Group("Heartbeat", ("keepalive", "deadtime", "heartbeat_port", "monitor_links")),
        Group("Connection synchronisation", ("syncdaemon", "syncd_iface", "syncd_id")),
    )

    backup = Setting(
        "Redundant server public IP",
        Host(required=False, blank=NO_ADDRESS),
        About(keyword="backup", help="The second director's own address on the clients' side. Blank: there is none."),
    )
    backup_private = Setting(
        "Redundant server private IP",
        Host(required=False),
        About(keyword="backup_private", help="Its address on the real servers' side: a second path for the heartbeat. May be blank."),
    )
    keepalive = Setting(
        "Heartbeat interval",
        Seconds(),
        About(
            keyword="keepalive", unit="s", piranha="6", help="Time between two heartbeats on each link. Decimals are allowed here (0.5)."
        ),
    )
    deadtime = Setting(
        "Assume dead after",
        Seconds(),
        About(
            keyword="deadtime",
            unit="s",
            piranha="18",
            help="Silence on every link until the other director takes over: at least three heartbeats.",
        ),
    )
    heartbeat_port = Setting(
        "Heartbeat runs on port",
        Number(1, 65535, "port"),
        About(keyword="heartbeat_port", unit="UDP", piranha="539", help="The same port on both directors."),
    )
    monitor_links = Setting(
        "Monitor NIC links for failures",
        Flag(number=True),
        About(keyword="monitor_links", control="checkbox", piranha="off", help="A director that loses a network link gives up its role."),
    )
    syncdaemon = Setting(
        "Use sync daemon",
        Flag(),
        About(
            keyword="syncdaemon",
            control="checkbox",
            piranha="off",
            help="The active director tells the standby about every connection, so that they survive a takeover.",
        ),
    )
    syncd_iface = Setting(
        "Sync daemon interface",
        Device(required=True),
        About(keyword="syncd_iface", piranha="eth0", help="Best a link between the two directors only: what is sent is not protected."),
    )
    syncd_id = Setting(
        "Sync daemon id",
        Number(0, 255, "number"),
        About(keyword="syncd_id", piranha="0", help="The same on both directors; another one for each pair on the same network."),
    )

    def check(self) -> None:
        keepalive, deadtime = self.setting("keepalive"), self.setting("deadtime")
        if not (keepalive.changed or deadtime.changed) or keepalive.errors or deadtime.errors:
            return
        if float(deadtime.typed) <= float(keepalive.typed):
            self.reject(
                "deadtime",
                f"{deadtime.typed} s is not longer than one heartbeat interval ({keepalive.typed} s): the other would always seem dead.",
            )
        elif float(deadtime.typed) < 3 * float(keepalive.typed):
            deadtime.warnings.append("Less than three heartbeats: one or two lost packets would move the role.")

    def reset(self) -> None:
        """Type Piranha's defaults into the fields that have one; the addresses stay."""
        for name in RESET_FIELDS:
            setting = self.setting(name)
            setting.data = setting.shown(RESET_VALUES)


def switched(config: Config, on: bool) -> Config:
    """ENABLE or DISABLE the redundant director; enabling turns the heartbeat on, as Piranha's button did.

    Raises ValueError when there is none to enable.
    """
    settings = config.globals
    if on and settings.backup == NO_ADDRESS:
        raise ValueError("There is no redundant director to enable: give its public IP and ACCEPT first.")
    return replace(config, globals=replace(settings, backup_active=on, heartbeat=settings.heartbeat or on))
