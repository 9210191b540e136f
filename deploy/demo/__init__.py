"""``make run``: the whole product on one machine's loopback, for looking at it and for the browser tests.

Owns the demonstration's addresses, its first lvs.cf, and the starting and stopping of its processes.  It is no part of what is
installed on a director, and reaches the product only as an administrator does: settings files, lvs.cf, commands, the agent's socket.
"""
