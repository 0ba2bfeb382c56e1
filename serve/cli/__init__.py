"""The command `photoreal serve` and its options."""
