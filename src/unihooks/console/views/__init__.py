"""What pages show: health, charts, places in the log, attempts, an operator's tenants, the API's reference."""
