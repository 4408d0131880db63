"""The document's tables."""
