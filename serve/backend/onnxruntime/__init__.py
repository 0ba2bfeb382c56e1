"""ONNX Runtime for Tritons that come without its native backend."""
