"""The report people read: one self-contained page per document and an index, from results alone."""
