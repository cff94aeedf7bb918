"""Bytes <-> values, for the peers of the share chain and of Dash.

`codec` has the primitive types, `fields` messages that declare their fields, `framer` the framing of messages.
"""
