"""The formats that builds are stored in and run by."""
