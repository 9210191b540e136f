"""What every test needs: the tests marked ``kernel`` run inside User-Mode Linux (see ``tests/kernel/plugin.py``)."""

from hypothesis import settings

pytest_plugins = ["tests.kernel.plugin"]

settings.register_profile("shared machine", deadline=None)  # how long an example takes says more about the machine than about the code
settings.load_profile("shared machine")
