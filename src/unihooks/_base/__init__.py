"""Identifiers, times and awaitable twins: what knows nothing of webhooks."""
