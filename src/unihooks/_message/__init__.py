"""What goes over the wire: payload, mapping, headers, secrets and signatures; nothing here does I/O."""
