"""Redis (or Valkey), and everything that this program knows of it.

- `settings`: where it is;
- `operations`: what is asked of it: streams, expiring values, leases; `tables`: values under one key;
- `problems`: what is wrong with it, for people;
- `connection`: one thread that asks it, and others that wait for what it brings.
"""
