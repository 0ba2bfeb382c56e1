"""One call over the network: its tensors, protocols, credentials and retries."""
