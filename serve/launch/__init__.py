"""Starting a Triton server: what it needs, its settings, and how it ends."""
