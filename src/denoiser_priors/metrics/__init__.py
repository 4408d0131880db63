"""Metrics: how close an image is to its reference."""
