"""Evaluation: denoisers against clean images, over noise levels, under named protocols."""
