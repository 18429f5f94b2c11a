"""The path of an event from the store to a recorded result."""
