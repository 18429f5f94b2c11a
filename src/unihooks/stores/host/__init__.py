"""The one insert on a connection of the host's."""
