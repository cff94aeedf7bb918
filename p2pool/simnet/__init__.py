"""A simulated network: a Dash Core and a CPU miner that the node cannot distinguish from real ones.

The chain: `chain` takes blocks and follows the most work (`index`, `genesis`, `retarget`, `store`); `validation`
has the rules, `ledger` the unspent outputs, `mempool` what waits, `economy` who is paid, `payloads` and `special`
special transactions, `scripts` signature operations, `governance` masternodes, `deployments` soft forks,
`rule_sets` rules by name, `errors` the reject reasons. `template` says what the next block contains, `finder`
finds blocks of others, `transactions` makes transactions.

The daemon: `service` runs all of it with `parameters`, `status`, `clock` and `faults`. RPC: `rpc_server`, `rpc`,
`rpc_methods` (`rpc_chain`, `rpc_mining`, `rpc_network`, `rpc_transactions`, `rpc_masternodes`, `rpc_controls`)
with `rpc_arguments`, `context`, `long_poll` and `render`. p2p: `p2p_server` and `p2p_dialler` move the bytes of
`p2p`, with `p2p_download`, `addresses` and `peer_name`. `zmq_publisher` publishes hashblock.

Miners and more: `miner` (`miner_connection`, `miner_session`, `miner_events`, `miner_work`, `miner_threads`,
`miner_flags`), `swarm` (`swarm_table`) runs several nodes,
`aux_daemon` an auxiliary chain, `settings` is what an operator can set of the simulation in a node's process.
"""
