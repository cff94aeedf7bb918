"""Stratum in processes of its own: what gateways and their node say to each other through the broker.

Both sides:
- `messages`: the formats; `names`: of streams and keys in the broker; `ports`: what both sides need of others;
- `work_codec`: a WorkContext as a message, and back; `solution_codec`: solved work likewise;
- `action_messages`: the formats of what concerns the pool's miners; `action_taker`: carries out what others want;
- `shared_bans`, `shared_counts`: bans, and connections by host, of all gateways;
- `sums_messages`: the formats of statistics;
- `template_transactions`: the transactions of a template as the broker keeps them; `transaction_table`: in memory;
- `transaction_fetch`: fetches those that are missing.

The node's side:
- `work_feed`: publishes work; `transaction_feed`: the transactions that complete a block;
- `solution_intake`: takes solutions, completes blocks, and says what is stored;
- `sums_intake`: counts what gateways report, each report once; `name_watch`: notices names that two have;
- `action_sender`: operators' actions for all gateways.

The gateway's side:
- `remote_work`: stratum's work, as the node sent it last; `node_watch`: logs that the node is silent, or back;
- `solution_spool`: solutions on disk; `solution_disk`: writes them in the background;
- `solution_sender`: sends each until the node has stored it;
- `block_completion`: gives whole blocks to the gateway's own daemons;
- `sums_collector`: sums up what stratum records; `sums_sender`: sends each report until the node has counted it.

Between gateways:
- `prefix_lease`: the first byte of extranonce1, which each gateway has to itself;
- `session_exchange`: stores sessions of miners, and hands them over; `session_messages`: their format;
- `session_codec`: a session as a message, and back; `recent_contexts`: the work that its jobs are made of again.
"""
