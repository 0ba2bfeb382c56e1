"""Run the models in a Triton server: launcher, supervisor and the code inside Triton.

This package imports nothing: the server's model processes import single modules and must not
load the launcher's client with them.
"""
