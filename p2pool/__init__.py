"""p2pool-dash: a decentralised mining pool for Dash."""

__version__ = "1.0.0"
"""The only place that names it. The release is tagged with it, as v1.0.0; setup.py adds the commit to what is
built of other commits."""
