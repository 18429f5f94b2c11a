"""What hosts and customers speak of: webhooks, endpoints, events, deliveries, the catalog; nothing does I/O."""
