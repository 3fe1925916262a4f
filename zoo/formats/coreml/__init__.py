"""Core ML: Apple's runtime for trained models, on every Apple device."""
