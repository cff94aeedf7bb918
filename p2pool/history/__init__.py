"""What was, hours and years ago, in a database: SQLite by default, PostgreSQL by URL.

`service` is all that the reactor thread meets: it takes samples and events, and answers questions. Everything else
runs in threads of its own: `writing` turns samples into rows, `thinning` rolls rows up and removes old ones,
`reading` answers. `schema` are the tables, `database` is the way to them.
"""
