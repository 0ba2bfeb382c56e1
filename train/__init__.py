"""Training the segmenter: labeled photos in, weights for `photoreal.weights` out."""
