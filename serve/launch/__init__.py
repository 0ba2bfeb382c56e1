"""Start and stop a Triton server: environment checks, settings, security and cleanup."""
