"""Alerts that miners set for their addresses, without an account. The operator allows them with --miner-alerts.

- `subscribing` decides about requests: is the address proven, is there room, may this client ask again. Pure
- `subscriptions` is the table, `quota` counts what may be done how often, `proof` makes and reads challenges and
  the tokens of links, `destination` reads where messages go
- `watch` makes events of the node's snapshots, `digest` collects those of one subscription, `words` makes messages
- `service` has the timers and the deliveries; `file` is what is kept on disk, `delivery` the channel of each
  subscription
- `settings`: what an operator can set; `figures`: what pages show
"""
