"""Export the networks to a Triton model repository, as checked ONNX models or TensorRT engines."""

from photoreal.export.repository import ExportSettings, export_repository

__all__ = ["ExportSettings", "export_repository"]
