"""The parts of the rendered scenes."""
