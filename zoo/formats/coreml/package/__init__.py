"""Reading and writing saved Core ML packages."""
