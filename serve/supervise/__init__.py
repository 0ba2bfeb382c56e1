"""Watching a running server, and restarting what failed."""
