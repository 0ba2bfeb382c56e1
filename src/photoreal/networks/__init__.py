"""The networks as the papers have them: WCT2's VGG-19 and the segmenter."""
