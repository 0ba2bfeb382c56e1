"""From a result at working size to the photo's own pixels."""
