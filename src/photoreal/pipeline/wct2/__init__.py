"""What the `wct2` model computes: tensors in, tensors out."""
