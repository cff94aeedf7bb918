"""Work for miners: template + chain tip + payee -> `Job`; `Job.check(submission) -> Outcome`.

- `context`: everything about the next share and block that does not depend on the payee;
- `coinbases`: the generation transactions of a context, for any payee;
- `job`: the work of one payee, and the check of what is submitted for it;
- `job_maker`: whom each job pays, how hard its shares are, which times it has;
- `job_records`: jobs as records, for another process;
- `block_limits`: keeps blocks within Dash's limits on size and signature operations.
"""
