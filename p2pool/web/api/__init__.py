"""The JSON interface, one module for each topic: functions from a snapshot, or a request's context, to JSON
values.

- `table`: the list of all endpoints; `endpoint`, `schema`: how one is declared;
  `descriptions`, `field_words`: what fields mean
- `pool`, `chain`, `tree`, `shares`, `blocks` (with `rounds`, `block_status`, `legacy_blocks`,
  `legacy_luck`), `payouts`, `coinbase`, `window`: the pool
- `node`, `dashd`, `stratum` (with `difficulties`), `gateways`, `workers`, `miners`, `calculator`, `rates`,
  `peers`, `alerts`, `miner_alerts` (what miners send), `operation`, `health`: this node
- `transition` (with `refused`, `other_nodes`): votes, newer share versions and who follows them
- `samples`, `history`, `payout_book` (with `history_question`, `history_lists`): graphs and lists of the past
"""
