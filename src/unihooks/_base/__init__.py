"""Identifiers, times, threads, event loops and round robin: tools that know nothing about webhooks."""
