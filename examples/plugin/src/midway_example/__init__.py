"""Parts for midway: an engine, a domain, a source, a scorer, a trainer. Each is one file."""
