"""Notifications of people and programs.

- `watch` makes events of the node's snapshots, with `workers`, `blocks`, `votes` and `other_nodes`; `condition` is
  a state that is reported if it lasts
- `rules` decides which events people are notified of, and when; `message` puts them into words
- `outbox` keeps entries until they are delivered; `outbox_file` and `store` keep them over a restart; `notified`
  remembers what is notified only once, `last_run` how the last run ended
- `channel` is what the delivery channels `webhook`, `mail` and `apprise_channel` share; `attempt` uses one once
- `service` has the timers and threads; `figures` is what pages show
- `options`, `settings`: what an operator can set
- `miners`: alerts that miners set for their own addresses
"""
