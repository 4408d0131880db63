"""Denoisers that are not trained."""
