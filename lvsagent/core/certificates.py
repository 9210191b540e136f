"""How long a certificate is still good, in words.

Pure.  A certificate that ends soon is a warning and takes no server out of service.
"""

from __future__ import annotations

DAY_S = 86400


def certificate_warning(ends_at: float, now: float, warn_days: int) -> str:
    """What is to be said at ``now`` (both seconds since the epoch) of a certificate that ends at ``ends_at``; ``""``: nothing."""
    left_s = ends_at - now
    if warn_days <= 0 or left_s >= warn_days * DAY_S:
        return ""
    if left_s < 0:
        return f"the certificate ended {_days(-left_s)} ago"
    return f"the certificate ends in {_days(left_s)}"


def _days(seconds: float) -> str:
    days = int(seconds // DAY_S)
    return "less than a day" if days == 0 else f"{days} day{'' if days == 1 else 's'}"
