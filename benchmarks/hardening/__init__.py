"""Invalid inputs, faults and load on a real server, shared by the tests and the soak test."""
