"""Notifications of people and programs: `watch` makes events, `rules` decides who is notified of which and when,
`message` puts them into words, `outbox` keeps them until they are delivered, and `webhook`, `mail` and
`apprise_channel` are the delivery channels. `service` is the only part with timers and threads."""
