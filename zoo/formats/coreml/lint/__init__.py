"""Device lint: faults on Apple hardware that a saved Core ML package already shows."""
