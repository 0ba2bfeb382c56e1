"""The models of a request in one process, without Triton: `photoreal.pipeline.local.Pipeline`.

Nothing is imported here: the adapters inside Triton take single modules and no torch.
"""
