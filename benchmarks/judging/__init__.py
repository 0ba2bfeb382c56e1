"""Quality of results: measures, photo pairs and other methods to compare with."""
