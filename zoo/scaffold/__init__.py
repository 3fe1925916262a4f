"""New plugins and recipes, complete enough to be installed and tested as they are."""
