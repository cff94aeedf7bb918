"""The lowest layer: what every other package may use. Imports no other package of the project.

- `environment`: reactor, clock, threads and randomness as one value; `timer`: periodic tasks; `backoff`:
  waits between attempts; `daemon_thread`
- `errors`, `observable`: typed errors, and events that one layer fires and another hears
- `bounded`, `fair`, `ordered_set`: containers with a limit, tables in which no owner can evict the others, and
  sets with an order
- `acyclic`, `long_lived`: objects that the garbage collector need not visit, or seldom again
- `turns`, `time_slice`, `steps`: fair scheduling of the reactor, and work in steps
- `rates`, `histogram`, `timings`, `reactor_lag`, `process`: measuring; `garbage`: pauses of the garbage collector
- `settings`, `setting_values`: declaring settings and reading their values
- `plain_records`: dataclasses as JSON, read strictly
- `state_file`, `database_format`, `files`, `write_problem`, `known_databases`, `paths`, `compact_json`: files of
  the data directory
- `outgoing`: every connection to another machine, through a SOCKS5 proxy (`socks`) or not
- `endpoints`, `hosts`, `http_client`, `direct_write`, `handover_socket`: addresses and connections
- `service_manager`, `signals`, `supervised`, `terminal`, `text`, `warn_once`: what operators see and send
"""
