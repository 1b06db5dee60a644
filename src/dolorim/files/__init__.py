"""Which files belong together, and tables of all kinds. Knows nothing of settings or trackers."""
