"""Where frames come from; each source is an async iterator of Arrival."""
