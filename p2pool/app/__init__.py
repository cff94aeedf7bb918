"""The composition root: settings, log, data directory, and one assembly for each topic of the node."""
