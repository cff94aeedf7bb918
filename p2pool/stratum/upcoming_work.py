"""Whether newer work is about to come, so that a broadcast of the present work is not worth its cost."""

from __future__ import annotations

from p2pool.jobs.context import WorkContext
from p2pool.share.share import Share


def is_newer_work_coming(context: WorkContext, best: Share | None) -> bool:
    """Return whether newer work than `context`, which follows the share `best`, is milliseconds away.

    That is so if the share is itself a Dash block on the template's previous block: then dashd is about to give a
    template on that block.
    """
    template = context.template
    if best is None or best.previous_block != template.previous_block:
        return False
    return best.hash <= template.target
