"""The JSON figures, one file a topic: plain functions from `Sources` to JSON values."""
