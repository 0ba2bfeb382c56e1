"""WCT2 transfer: whitening and coloring of features, region by region."""
