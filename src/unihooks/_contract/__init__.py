"""The values that pass between a worker and a store."""
