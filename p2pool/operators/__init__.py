"""The commands for operators, such as `p2pool-dash config init`. The node never imports them.

- `main` finds the command that is named, runs it, and turns errors into one line and an exit status.
- `arguments` reads the command line of a command: its own flags, and those of the node.
- `check` checks a set-up: `machine_facts` and `dashd_facts` gather facts, `machine_checks` and `dashd_checks`
  judge them, and `findings` are the results.
- `backup` saves and restores the data directory; `data_files` are its files, and how each is copied.
- `asynchronous` runs a coroutine of the node's own code.
- `node_api` asks the running node through its JSON API; `status` shows it on one screen, and
  `explain` says what it knows of a share, a block or an address. `cells` makes text fit for a terminal.
- `top` shows it, and its miners, on a screen that is refreshed: `top_screen` makes the rows, `keys` are what the
  operator presses, and `terminal_screen` is the terminal.
- `command_line` is all that the command line knows, as data: `completion` makes scripts for shells of it, and
  `manual` the manual page.
- `settings_template` writes a settings file from the declarations of all settings.
"""
