"""From an entry point to hooks that run: loading, the default hooks, and whose code failed."""
