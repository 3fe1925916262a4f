"""Tasks: what a model does for a person."""
