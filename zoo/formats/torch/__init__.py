"""PyTorch: the source itself, run by transformers; the reference that checks compare with."""
