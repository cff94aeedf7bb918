"""Other nodes of the share chain: connections, downloads, broadcasts, addresses and bans.

- `messages`: payload bytes <-> values; `session`: one connection without sockets; `protocol`: its socket;
  `hub`: all connections together; `service`: dials, listens, keeps addresses and bans; `settings`: its flags
- `share_intake`: shares out of their envelopes; `newer_types`: shares of types that this version cannot read;
  `download`: fetches missing parent shares; `broadcast`: sends new shares; `refusal_budget`: how many refused
  shares one host may send
- `transactions`: those that this node knows; `remote_view`: those that a peer knows; `remembered`: those that a
  peer has this node keep; `allowance`: how many one host may make known to all
- `addresses`: known nodes and banned hosts; `bootstrap`: names and lists of nodes; `port_mapping`: UPnP
- `census` and `software`: what peers are; `early_closes`: who closes the connection at once; `round_trips`: how
  long peers take to answer; `figures`: what pages show
- `ports`: what peers need of the rest of the node; `errors`: what a peer is disconnected or banned for
"""
