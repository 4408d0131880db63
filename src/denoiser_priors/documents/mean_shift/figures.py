"""The document's figures."""
