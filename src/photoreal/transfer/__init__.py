"""The transfer of WCT2: features whitened and colored, region by region."""
