"""Programs that look at this repository."""
