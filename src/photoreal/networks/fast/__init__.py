"""Faster ways to compute the networks' convolutions, with equal results."""
