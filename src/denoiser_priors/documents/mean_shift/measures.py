"""The numbers that decide the document's claims."""

MEASURES = {}
