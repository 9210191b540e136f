"""What every test needs: some run elsewhere, as those marked ``kernel`` inside User-Mode Linux (see ``tests/elsewhere.py``)."""

import os

pytest_plugins = ["tests.elsewhere"]

if "LAB_DIR" not in os.environ:  # the guest, where every import is slow, generates no examples
    from hypothesis import settings

    settings.register_profile("shared machine", deadline=None)  # how long an example takes says more about the machine than about the code
    settings.load_profile("shared machine")
