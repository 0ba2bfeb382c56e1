"""Parameters of the networks: built in, published, or from a folder."""
