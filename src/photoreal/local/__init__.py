"""In-process stylization behind the interface of the client, without a server."""
