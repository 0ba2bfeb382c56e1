"""The networks as ONNX and TensorRT models, checked, in a Triton model repository."""

from photoreal.export.repository import ExportSettings, export_repository

__all__ = ["ExportSettings", "export_repository"]
