"""Color: spaces, the closed-form alignment of regions, and the range of a display."""
