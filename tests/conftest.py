"""What every test needs: the tests marked ``kernel`` run inside User-Mode Linux (see ``tests/kernel/plugin.py``)."""

import os

pytest_plugins = ["tests.kernel.plugin"]

if "LAB_DIR" not in os.environ:  # the guest, where every import is slow, generates no examples
    from hypothesis import settings

    settings.register_profile("shared machine", deadline=None)  # how long an example takes says more about the machine than about the code
    settings.load_profile("shared machine")
