"""How good results are: measures, photo pairs to measure on, other methods."""
