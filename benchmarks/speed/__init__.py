"""How fast the server and its parts are, and what they take of memory."""
