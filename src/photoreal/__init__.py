"""Photorealistic style transfer: WCT2 with semantic regions, served by NVIDIA Triton.

The package is split so that each user pays for what he uses alone:

- ``photoreal`` itself is the science (networks, transform, regions) and knows nothing of
  Triton, ONNX or argument parsing;
- ``photoreal.preprocess`` turns bytes into arrays and back;
- ``photoreal.export`` writes the networks as ONNX and TensorRT models;
- ``photoreal.serve`` starts a Triton server and adapts the science to it;
- ``photoreal.client`` talks to that server and needs none of the above.
"""

__version__ = "0.1.0"
