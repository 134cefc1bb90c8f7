"""Models that are known by name, or come as one file: fetched, unpacked, and kept as ordinary Hugging Face directories."""
