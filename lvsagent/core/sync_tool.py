"""How lvs.cf goes to the other director, by lvs.cf's own word."""

from __future__ import annotations

SSH, RSYNC, RSH = "ssh", "rsync", "rsh"


def sync_tool(rsh_command: str, *, given: bool) -> str:
    """ssh, rsync, rsh, or whatever other program ``rsh_command`` names, without its folder and arguments.

    ``given``: whether lvs.cf says it at all.  Piranha's own default is rsh; a file that is silent has chosen nothing, so ssh is used.
    """
    return rsh_command.partition(" ")[0].rpartition("/")[2] if given else SSH
