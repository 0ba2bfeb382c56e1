"""The server's work in this process, behind the interface of the client."""
