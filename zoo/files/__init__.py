"""Files: digests, locks, archives and what may be read."""
