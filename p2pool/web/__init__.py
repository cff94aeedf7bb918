"""The web: JSON views, live updates, Prometheus metrics, pages, and actions of operators. A GET never causes work.

Serving:
- `site`, `routing`, `resources`: the resource tree and what all answers share; `static_files`, `byte_range`,
  `redirects`, `not_found`, `rendering`: files, redirects, errors for people, ETags and compression
- `request`: the rules of HTTP for all requests; `access`, `auth`, `client_address`, `known_hosts`, `rate_limit`:
  who may ask for what, and how often; `settings` are those of the web
- `health`: what orchestrators are told without a password
- `admin`, `audit`: actions of operators, and their log; `miner_alerts`: alerts that miners set

Figures:
- `sources`: everything that views may show; `collector` records it once a second, `views` renders it
- `view_cache`: what is computed once for each tip, work or snapshot; `samples`, `luck`, `rebuilds`, `votes`,
  `worker_index`, `payment_window`, `submission_pace`, `host_shares`: parts of it
- `api` holds the views and look-ups, `metrics` the metrics; `openapi` describes the first, `csv_table` exports
  them

Live updates over WebSockets: `live` (connections), `live_hub` (who is sent what), `live_messages`, `live_patch`,
`live_events`, `live_wiring`.
"""
