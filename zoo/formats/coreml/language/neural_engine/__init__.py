"""Language models for the Neural Engine: static shapes, in packages below 1 GB."""
