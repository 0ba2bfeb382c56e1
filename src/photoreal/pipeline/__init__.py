"""Request pipeline from encoded photos to the encoded result, independent of Triton.

This package imports nothing: the Triton adapters import single modules and must not load torch.
"""
