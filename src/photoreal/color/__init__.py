"""Color: color spaces, closed-form alignment of regions, gamut compression and lookup tables."""
