"""Work for miners: template + chain tip + payee -> `Job`; `Job.check(submission) -> Outcome`."""
