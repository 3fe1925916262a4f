"""What a person sees: notes, tables for notebooks, without secrets, and stdout for data alone."""
