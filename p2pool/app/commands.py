"""The commands for operators: the first words of the command line that do not start a node. Package `operators`
carries them out; the node never imports it."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "backup": "backup DIR [OPTIONS]: save the node's data to a new directory, also while it runs",
    "check": "check [OPTIONS]: check settings, this machine and Dash Core, and say what to do",
    "config": "config init [FILE]: write a settings file with every setting in it, commented out",
    "explain": "explain SHARE|BLOCK|ADDRESS [OPTIONS]: say what the running node knows of it",
    "restore": "restore DIR [OPTIONS]: put a backup into the data directory of a node that does not run",
    "status": "status [OPTIONS]: show the running node, its miners, Dash Core and warnings on one screen",
}
"""What help says about each command, by its name."""
