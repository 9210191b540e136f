"""nanny: every health check of this director, in a process without privileges."""

from lvsagent.nanny.run import main

__all__ = ["main"]
