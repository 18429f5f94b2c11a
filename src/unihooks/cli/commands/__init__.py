"""The commands, one file for each kind of thing that they are about."""
