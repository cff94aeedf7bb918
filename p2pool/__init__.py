"""p2pool-dash: a decentralised mining pool for Dash."""

__version__ = "1.0.0.dev0"
