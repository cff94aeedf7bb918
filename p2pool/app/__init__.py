"""The composition root: settings, log, data directory, and one assembly for each topic of the node.

From the command line to the configuration:
- `cli`: the program, its exit status and its last line
- `config`: the frozen `Config`, values that follow from several settings, and checks between settings
- `settings`: the groups of settings, and those that belong to no topic
- `flags`: the command line and its help; `commands`: the names of the commands for operators
- `settings_file`: the TOML file of --config
- `environment_settings`: all other settings from the environment
- `secret_sources`: secrets from files and the environment
- `legacy_flags`: command lines of legacy p2pool-dash
- `reload`: settings that are read again while the program runs
- `shown_settings`: the settings that are public

Around the node:
- `process`: the node as a process: reactor, log, signals and exit status
- `root`: class `App`, which constructs, connects, starts and stops everything
- `pool`: class `Pool`, the part of it that mines; `stopping`: stops parts one by one, whatever one of them does
- `service_status`: the status line of systemd
- `logs`, `status_log`, `bench_log`: the log, lines about the node as a whole, and what --bench adds
- `routes`: which parts connect to other machines through a proxy; `onion`: the node as an onion service
- `peer_patience`: how long miners keep their work without other nodes
- `compiled`: the modules that can be compiled, and whether they are
- `process_watch`: measures the process: delays, memory, files and threads
- `data_directory`, `state_files`: the directory of the node's files, and the versions of those files

Replaced by a newer process without losing a miner:
- `program_runner`: starts, hands over, recovers and stops the program of a process
- `take_over`: what the two processes say; `handover`: what is handed over; `stratum_handover`: the miners' part

Gateways, which have miners and nothing else of a node:
- `gateway`: class `GatewayApp`, the root of a gateway; `gateway_daemons`: the daemons that it was given
- `gateway_web`: what a gateway shows of itself
- `broker`: the node's side of its gateways
- `shared_sessions`: what gateways share about their miners' sessions
- `own_gateways`: the gateways that the node starts itself
- `gateway_children`: starts, watches and stops them; `child_process`: a process of these
- `child_settings`: what each of them is given; `leftover_gateways`: what those left that are no longer started
- `shared_pool`: what both sides share: bans, connections by host, operators' actions

One assembly a topic: `dashd`, `payouts`, `stratum`, `peers`, `web`, `alerts`, `miner_alerts`, `history`, `simnet`.
"""
