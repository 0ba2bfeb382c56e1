"""Running the models in a real Triton server, and what runs inside it.

Nothing is imported here: the server's helper processes import single modules and must not
carry the launcher's client along.
"""
