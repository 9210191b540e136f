"""A service of the administrator's own, as ``start_cmd`` and ``stop_cmd`` of a failover block run it: HTTP that says its name.

``failover_service.py start|stop NAME PORT``.  It goes to the background by itself, as a service does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path


def mark(name: str, namespace: str = "self") -> Path:
    """Where its process id is kept, apart for each host (each network namespace)."""
    return Path(f"/run/tmp/service-{name}-{os.stat(f'/proc/{namespace}/ns/net').st_ino}")  # noqa: PTH116 -- what stat() follows


def start(name: str, port: int) -> None:
    """Listen, then go on in a session of its own: whoever ran the command ends everything that is left of its own."""
    listener = socket.create_server(("", port))
    if (first := os.fork()) != 0:
        os.waitpid(first, 0)
        return
    os.setsid()
    if (service := os.fork()) != 0:
        mark(name).write_text(str(service))  # before whoever ran this goes on: the next command may be the one that ends it
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 2)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(1)
            try:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + name.encode())
            except OSError:
                continue


def stop(name: str) -> None:
    """End it, if it runs."""
    try:
        os.kill(int(mark(name).read_text()), signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(sys.argv[2], int(sys.argv[3]))
    else:
        stop(sys.argv[2])
