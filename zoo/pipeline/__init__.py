"""From a recipe to a checked build, step by step."""
