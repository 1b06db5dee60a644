"""Which files belong together, and the small tables that say whose they are. Knows nothing of settings or formats."""
