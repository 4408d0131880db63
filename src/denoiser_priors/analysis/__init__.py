"""What a denoiser does to one image: net bias, Jacobian, and the subspaces that its singular vectors span."""
