"""Bad inputs, faults and load for a real server, as the tests and the soak run share them."""
