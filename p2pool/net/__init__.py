"""Listening ports for miners and browsers: TLS, the PROXY protocol, and telling protocols apart.

- `worker_port`: the ports, and which protocol a connection gets; `first_bytes`: foreign protocols, and getwork
  miners; `shared_port`: a port that several processes listen on;
- `lean_reactor`: the event loop of the program;
- `tor_control`: Tor's control port; `onion_settings`: what can be set about onion services;
- `adopted_sockets`: ports and connections that another process opened;
- `proxy_protocol`: the header with which load balancers name the client;
- `tls`: certificates, loaded and replaced while the node runs; `own_certificate`: those that the node makes
  itself.
"""
