"""What goes over the wire: payload, mapping, headers, secrets, signatures and the request; nothing does I/O."""
