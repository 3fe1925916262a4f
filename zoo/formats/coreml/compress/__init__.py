"""Compression of the weights of a Core ML package."""
