"""Redis (or Valkey), and everything that this program knows of it.

- `settings`: where it is; `operations`: what is asked of it;
- `connection`: one thread that asks it, and one that waits for what it brings.
"""
