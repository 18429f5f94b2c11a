"""The command `demo`: what it does, what it prints, and the console that it serves."""
