"""Miners: stratum over TCP. A pure session, a thin Twisted protocol, and a server that broadcasts jobs.

From the wire to the answer:

- `protocol`: a connection's bytes to lines, and output to its transport; `lingering`: closed connections that are
  read;
- `requests`: lines to JSON; `dispatch`: from a line to a method and its answer; `messages`: lines to the miner;
- `methods`: one function for each stratum method; `username`: addresses, worker names and options of miners;
- `session`: one connection, pure; `handshake`: how far it has come; `session_context`: what the sessions share;
  `errors`: errors for miners;
- `miner_state`, `session_table`: what survives a reconnect; `miner_software`: what miners run.

Work and its judgement:

- `job_registry`: the jobs of all connections; `job_feed`: which job a connection is sent; `notify_lines`: the
  lines that send them;
- `job_broadcast`: new work to all connections; `upcoming_work`: whether newer work is about to come;
- `work_patience`: when miners are sent to their backup pools;
- `submission`: parses the fields of mining.submit, which `session` judges; `submission_batch`: hashes those that
  came in one turn together; `solutions`: what was accepted, so that it is credited once;
- `vardiff`: the difficulty of a connection; `recent_difficulties`: workers that are known to be fast.

Who is let in:

- `server`: all connections; `limits`: their limits; `operator`: the operator's actions on miners;
- `guard`: bans and limits of hosts; `reputation`: what hosts and connections were charged;
- `eviction_queue`: which connection is closed when the server is full; `ban_file`: the bans on disk.

Between processes:

- `handover_records`: what a process hands over to the next; `handover_export`, `handover_import`: from the
  sessions to these records, and back; `handover_basic`: what other versions of the program can read.

`ports` is what stratum needs from the rest of the node, `settings` what an operator can set, `host_loads` the load
of hosts for pages, `timed` the measuring for --bench.
"""
