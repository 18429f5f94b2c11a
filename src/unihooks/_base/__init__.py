"""Identifiers, times, threads, event loops and turns: tools that know nothing of webhooks."""
