"""Network weights: built in, published, or loaded from a folder."""
