"""Samplers that use a denoiser as the prior of images."""
