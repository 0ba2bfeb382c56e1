"""One request from encoded photos to the encoded picture, without Triton."""
