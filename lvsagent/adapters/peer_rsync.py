"""A large request to the other director by Debian's own rsync over Debian's own ssh, with the same key and the same pinned host key.

Owns the two command lines.  What arrives is one file, in the one folder where ``lvsagent receive`` lets it; a line on
the session then names it.
"""

from __future__ import annotations

import hashlib
import math
import re
import subprocess

from lvsagent.adapters.config_files import SystemFiles, replace_file
from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_lines import file_line
from lvsagent.core.introduction import HOST_ALIAS, KEY_TYPE, Introduction, another_host_key, fingerprint
from lvsagent.ports import PeerRefused, PeerUnreachable
from lvsagent.receive import RSYNC, RSYNC_FILE

CONNECT_S = 3
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
WORDS_LIMIT = 300
UNKNOWN_HOST = "Host key verification failed"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
"""In what Debian's ssh says of a host that has another key than the one that is pinned."""


def send(keys: PeerKeys, peer: Introduction, address: str, request: bytes, left_s: float) -> bytes:
    """Bring the request over as a file; returns the line that names it.  Raises PeerUnreachable, PeerRefused, AdapterError."""
    outbox = keys.folder / "outbox"
    outbox.mkdir(mode=0o700, exist_ok=True)
    file = outbox / RSYNC_FILE
    replace_file(file, request, SystemFiles())
    argv = rsync_argv(keys, peer, address, left_s)
    try:
        done = subprocess.run(  # noqa: S603 -- argv of our own
            argv, cwd=outbox, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=left_s, check=False
        )
    except FileNotFoundError:
        raise PeerRefused("lvs.cf asks for rsync (rsh_command), and this director has none: install it, or choose ssh") from None
    except subprocess.TimeoutExpired:
        raise PeerUnreachable("rsync did not end in time") from None
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())
        if UNKNOWN_HOST in words:
            found = FINGERPRINT.search(words)
            raise PeerRefused(another_host_key(address, found[0] if found else "", fingerprint(peer.host_key)))
        raise PeerUnreachable(f"rsync ended with status {done.returncode}: {words[:WORDS_LIMIT]}")
    return file_line(hashlib.sha256(request).hexdigest())


def rsync_argv(keys: PeerKeys, peer: Introduction, address: str, left_s: float) -> list[str]:
    """The command line: exactly the call that ``lvsagent.receive`` knows."""
    host = f"[{address}]" if ":" in address else address
    way = " ".join(_quoted(word) for word in ssh_argv(keys, peer))
    return [RSYNC, "-Iz", f"--timeout={min(999, math.ceil(left_s))}", "-e", way, RSYNC_FILE, f"{peer.user}@{host}:{RSYNC_FILE}"]


def ssh_argv(keys: PeerKeys, peer: Introduction) -> list[str]:
    """ssh as rsync is to start it: no configuration, no agent, no password, one key, one host key."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(keys.known_host),
        "GlobalKnownHostsFile": "none",
        "HostKeyAlias": HOST_ALIAS,
        "HostKeyAlgorithms": KEY_TYPE,
        "UpdateHostKeys": "no",
        "ConnectTimeout": str(CONNECT_S),
        "ClearAllForwardings": "yes",
        "LogLevel": "ERROR",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["/usr/bin/ssh", "-F", "none", "-T", "-i", str(keys.private_key), "-p", str(peer.port), *words]


def _quoted(word: str) -> str:
    """rsync splits this line itself, at blanks outside quotes."""
    return f"'{word}'" if " " in word else word
