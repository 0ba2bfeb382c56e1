"""Stylizing a whole folder of photos."""
