"""Network definitions following the papers: WCT2's VGG-19 and the segmenter."""
