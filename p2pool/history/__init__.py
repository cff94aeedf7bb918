"""The history of the node, over hours and years, in a database: SQLite by default, PostgreSQL by URL.

`service` is the only part on the reactor thread: it takes samples and events, and answers queries. Everything else
runs in threads of its own:
- `writing` turns samples into rows, `downsampling` rolls rows up and removes old ones
- `reading` answers queries (`bins`: the points of graphs), `restoring` reads what a starting node loads
- `schema` are the tables, `database` gives access to them, `records` are the values that go in and out
- `settings`: what an operator can set
"""
