"""Dash Core: templates, notifications of new blocks, delivery of found blocks, its wallet, and auxiliary chains.

Templates: `service` polls one daemon and `template_parsing` reads its answers into a `template`; `shortening`
leaves transactions out of one. `facts` is what a daemon reports of itself, `daemon` one daemon as the `pool` of
daemons sees it, `announced` the heights that headers prove, `heights` those of blocks that shares were mined on,
`block_notifications` the first notification of each new block.

Connections: `rpc` with `credentials` and `daemon_url`; `p2p` moves the bytes of a `p2p_session`; `zmq_notice`
subscribes to hashblock; `broadcaster` keeps connections to `network_peers`, and counts in `broadcast_counts`.

Found blocks: a `found_block` is written to the `spool`, then `submission` drives its `delivery`; `answers` is what
those of submitblock mean, and `delivery_log` has the log lines. `followup` follows blocks in the chain,
`chain_blocks` lists those known from shares alone, `block_store` keeps the records.

The operator's addresses: `payout_addresses`, taken from the `wallet` and kept by `payout_service`. Auxiliary
chains: `merged` polls their daemons, `aux_submission` delivers their blocks. `settings` is what an operator can
set, `figures` what pages show.
"""
