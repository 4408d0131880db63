"""Di Martino 2024, "Brief history of denoising", with the classical denoisers and Kadkhodaie et al. 2024."""
