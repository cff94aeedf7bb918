"""Other nodes of the share chain: connections, downloads, broadcasts, addresses and bans.

- `messages`: payload bytes <-> values; `session`: one connection without sockets, with `handshake` and
  `share_requests`; `protocol`: its socket; `hub`: all connections together; `service`: listens, looks for
  nodes, keeps addresses and bans; `settings`: its flags
- `share_intake`: shares out of their envelopes; `newer_types`: shares of types that this version cannot read;
  `download`: fetches missing parent shares, with `patience` (how long an answer may take), `deliveries` (what each
  host delivered) and `stretches` (parts of one chain, from several peers); `broadcast`: sends new shares;
  `refusal_budget`: how many refused shares one host may send
- `transactions`: those that this node knows; `transaction_relay`: what peers hear of them; `remote_view`: those
  that a peer knows; `remembered`: those that a peer has us keep; `allowance`: how many one host may make known
- `addresses`: neighbourhoods, and banned hosts; `address_book`: where nodes listen, as `known_address` describes
  each; `address_samples`: what others are told of it; `dialling`: outgoing connections; `eviction`: which
  incoming one makes room; `bootstrap`: names and lists of nodes; `kept_node`: those that the operator names;
  `port_mapping`: ports that routers forward, `upnp` in one of the ways; `reachability`: whether others get in
- `peer_watch`, `census` and `software`: what peers are; `early_closes`: who closes the connection at once;
  `ended`: why connections ended; `round_trips`: how long peers take to answer; `figures`: what pages show
- `ports`: what peers need of the rest of the node; `errors`: what a peer is disconnected or banned for
"""
