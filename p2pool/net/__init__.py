"""Listening ports for miners and browsers (TLS, the PROXY protocol, telling protocols apart), and how others reach
this machine: onion services, and ports that routers forward.

- `worker_port`: the ports, and which protocol a connection gets; `first_bytes`: foreign protocols, and getwork
  miners; `shared_port`: a port that several processes listen on;
- `lean_reactor`: the event loop of the program;
- `tor_control`: Tor's control port; `onion_settings`: what can be set about onion services;
- `port_control`: the packets of PCP and NAT-PMP; `port_client`: when to send which; `router_port`: their socket;
  `routes`: which router to ask;
- `adopted_sockets`: ports and connections that another process opened;
- `proxy_protocol`: the header with which load balancers name the client;
- `tls`: certificates, loaded and replaced while the node runs; `own_certificate`: those that the node makes
  itself.
"""
