"""Regions of a request: from masks, label maps or the segmenter, and the report about them."""
