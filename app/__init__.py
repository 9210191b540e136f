"""The web console.  Importing this package imports nothing else: the agent shares ``app.lvscf`` without paying for Flask."""
