"""Presets: a style's measured regions in a file, used in place of the style photo."""
