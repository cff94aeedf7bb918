"""The commands for operators, such as `p2pool-dash config init`. The node never imports them.

- `main` finds the command that is named, runs it, and turns errors into one line and an exit status.
- `arguments` reads the command line of a command: its own flags, and those of the node.
- `settings_template` writes a settings file from the declarations of all settings.
"""
