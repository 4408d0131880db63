"""The documents that are replicated, one room each, and the machinery that they share: registry, claims, style."""
