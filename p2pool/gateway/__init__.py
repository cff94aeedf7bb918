"""Stratum in processes of its own: what gateways and their node say to each other.

- `messages`: the formats;
- `work_codec`: a WorkContext as a message, and back; `solution_codec`: solved work likewise.
"""
