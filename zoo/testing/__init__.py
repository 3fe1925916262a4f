"""Help for testing plugins: throw-away plugins, and a Hub on this machine."""
