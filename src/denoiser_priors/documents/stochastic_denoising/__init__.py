"""Kawar, Vaksman & Elad 2021, "Stochastic Image Denoising by Sampling from the Posterior Distribution"."""
