"""What a host gives its console: settings and look, the viewers whom it lets in, the rates that it allows."""
