"""MLX: Apple's array framework, on the GPU of Apple silicon and on any CPU."""
