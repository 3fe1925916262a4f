"""The `zoo` command: arguments in, data to stdout, progress and notes to stderr."""
