"""The webhook section that a host embeds for its customers."""

from unihooks.console._viewers import Permission, Viewer

__all__ = ["Permission", "Viewer"]
