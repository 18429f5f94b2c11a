"""Helpers for frameworks, one module for each, named after it."""
