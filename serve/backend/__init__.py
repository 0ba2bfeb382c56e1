"""Code that runs inside Triton's Python backend, shared by the model adapters."""
