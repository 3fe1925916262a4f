"""The format `npz`: language models as NumPy archives, run by NumPy alone."""
