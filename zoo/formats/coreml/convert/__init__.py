"""Conversion to Core ML in bounded memory."""
