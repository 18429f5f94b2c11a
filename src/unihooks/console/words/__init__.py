"""Texts in the viewer's language: figures, errors, causes, titles, schemas."""
