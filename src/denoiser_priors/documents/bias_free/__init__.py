"""Mohan, Kadkhodaie, Simoncelli & Fernandez-Granda, ICLR 2020: bias-free networks generalise across noise levels."""
