"""Speed and memory usage of the server and its parts."""
