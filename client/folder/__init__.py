"""Batch stylization of a folder of photos."""
