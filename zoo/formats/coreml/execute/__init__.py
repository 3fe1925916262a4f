"""The reference executor of Core ML programs."""
