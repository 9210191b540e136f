"""What every test needs: the tests marked ``kernel`` run inside User-Mode Linux (see ``tests/kernel/plugin.py``)."""

pytest_plugins = ["tests.kernel.plugin"]
