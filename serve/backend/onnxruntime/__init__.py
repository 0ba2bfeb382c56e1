"""ONNX Runtime backend for Triton installations without the native one."""
