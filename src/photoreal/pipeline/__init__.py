"""One request from encoded photos to the encoded picture, without Triton.

Nothing is imported here: the adapters inside Triton take single modules and no torch.
"""
