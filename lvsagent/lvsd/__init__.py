"""lvsd: lvs.cf, the agent's API and the IPVS table."""

from lvsagent.lvsd.process import main

__all__ = ["main"]
