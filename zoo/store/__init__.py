"""The artifacts on this disk."""
