"""A simulated network: a Dash Core and a CPU miner that the node cannot tell from real ones."""
