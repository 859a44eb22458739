"""Every decision: synchronous, without clock, I/O, logging or chance."""
