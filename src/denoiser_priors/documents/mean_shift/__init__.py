"""Bigdeli, Jin, Favaro & Zwicker 2017, "Deep Mean-Shift Priors for Image Restoration"."""
