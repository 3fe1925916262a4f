"""Catalogs, recipes and pins: names that resolve to what they mean."""
