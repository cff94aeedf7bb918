"""Stratum in processes of its own: what gateways and their node say to each other.

- `work_message`: the format of new work; `work_codec`: a WorkContext as such a message, and back.
"""
