"""The content of pages: health, charts, places in the log, attempts, an operator's tenants, the API's reference."""
