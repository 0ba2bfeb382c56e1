"""One request from encoded photos to the encoded picture, without Triton.

`photoreal.pipeline.local.Pipeline` has the models in this process. Nothing is imported here: the
adapters inside Triton take single modules and no torch.
"""
