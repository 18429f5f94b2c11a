"""The way of an event from the store to a recorded result."""
