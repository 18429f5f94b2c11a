"""The host's side of its console: settings and look, viewers, rates."""
