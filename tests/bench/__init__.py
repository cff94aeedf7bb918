"""Benchmarks: `python -m tests.bench [NAME ...]`. Not timed tests: nothing here fails because it is slow."""
