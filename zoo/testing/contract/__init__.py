"""Contracts: what zoo expects of a plugin, claim by claim, with or without pytest."""
