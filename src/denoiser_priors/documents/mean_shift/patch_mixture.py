"""A Gaussian mixture of patches."""
