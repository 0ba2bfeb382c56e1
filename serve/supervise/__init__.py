"""Supervision of a running server: health checks, model reloads and restarts."""
