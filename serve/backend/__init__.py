"""What runs inside Triton: adapters of the models, and what they share."""
