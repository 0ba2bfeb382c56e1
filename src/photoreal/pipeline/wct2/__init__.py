"""Core of the `wct2` model: tensors in, tensors out."""
