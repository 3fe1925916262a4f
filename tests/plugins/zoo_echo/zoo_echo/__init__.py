"""A family that repeats what it hears: the smallest plugin that goes through every step."""
