"""Redis (or Valkey), and everything that this program knows of it.

- `settings`: where it is;
- `operations`: what is asked of it: streams, expiring values; `leases`: what one process has at a time;
- `shared`: what processes share besides work: fresh news, members with a value each, tables;
- `tables`: values under one key that expire together; `request_queue`: what waits for its turn;
- `problems`: what is wrong with it, for people;
- `connection`: one thread that asks it, and others that wait for what it brings.
"""
