"""Rendering of a result at working size to the full resolution of the photo."""
