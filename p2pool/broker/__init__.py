"""Redis (or Valkey), and everything that this program knows of it.

- `settings`: where it is;
- `operations`: what is asked of it: streams, expiring values; `leases`: what one process has at a time;
- `shared`: what processes share besides work: fresh news, members with a value each, tables;
- `connection`: one thread that asks it, and others that wait for what it brings.
"""
