"""What people and their programs are told of without having to look: `watch` makes events, `rules` says which
of them are told to whom and when, `message` puts them into words, `outbox` keeps what is to be delivered until
it is, and `webhook`, `mail` and `apprise_channel` are the ways out. `service` is the only part with timers and
threads."""
