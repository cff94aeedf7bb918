"""Stratum in processes of its own: what gateways and their node say to each other through the broker.

Both sides:
- `messages`: the formats; `names`: of streams and keys in the broker; `ports`: what both sides need of others;
- `work_codec`: a WorkContext as a message, and back; `solution_codec`: solved work likewise;
- `template_transactions`: the transactions of a template as the broker keeps them; `transaction_table`: in memory;
- `transaction_fetch`: fetches those that are missing.

The node's side:
- `work_feed`: publishes work; `transaction_feed`: the transactions that complete a block;
- `solution_intake`: takes solutions, completes blocks, and says what is stored.

The gateway's side:
- `remote_work`: stratum's work, as the node sent it last;
- `solution_spool`: solutions on disk; `solution_disk`: writes them in the background;
- `solution_sender`: sends each until the node has stored it;
- `block_completion`: gives whole blocks to the gateway's own daemons.
"""
