"""Identifiers, times, threads and turns: tools that know nothing of webhooks."""
