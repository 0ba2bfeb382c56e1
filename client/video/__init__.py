"""Video: frames in, stylized frames out, sound kept."""
