"""The document's own numbers."""
