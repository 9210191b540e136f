"""What the agent tells the service manager, over the datagram socket that it names in NOTIFY_SOCKET.

Owns the protocol, nothing of its meaning.  Without a service manager every call does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""The service manager's variables: the supervisor's own business, kept from its children."""


class Notifier:
    """``watchdog_s`` is how often the service manager wants to hear that all is well (0: it does not ask)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        wanted_by = environment.get("WATCHDOG_PID", str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "0")
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() and wanted_by == str(os.getpid()) else 0.0

    def ready(self, status: str) -> None:
        """Started, or finished reloading."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def reloading(self, status: str) -> None:
        """Busy taking up a new configuration or a new version; ``ready`` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", f"STATUS={status}")

    def stopping(self, status: str) -> None:
        """A planned stop has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            pass  # a service manager that is away is no reason to stop forwarding
