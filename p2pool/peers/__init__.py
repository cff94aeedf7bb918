"""Nodes of the share chain that speak protocol 1700."""
