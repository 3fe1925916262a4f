"""What is installed, read from package metadata: no code of a plugin is imported here."""
