"""Kadkhodaie & Simoncelli 2020: sampling from the prior that is implicit in a denoiser, and linear inverse problems."""
