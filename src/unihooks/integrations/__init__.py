"""Helpers for frameworks, one module each; the name of the module is that of the framework."""
