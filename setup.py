"""Adds the training code to editable installs; pyproject.toml has everything else.

A wheel cannot train: it has neither the code nor the photos. A checkout can.
"""

from setuptools import setup
from setuptools.command.build_py import build_py

TRAINING = "photoreal.train"


class BuildPy(build_py):
    """Collect the packages of pyproject.toml, and `photoreal.train` for an editable install."""

    def run(self) -> None:
        """Collect the files."""
        if self.editable_mode and TRAINING not in self.packages:
            self.packages.append(TRAINING)
        super().run()


setup(cmdclass={"build_py": BuildPy})
