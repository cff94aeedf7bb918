"""Nodes that do not show at once what they found."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from p2pool.jobs.job import Outcome
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Thought
from tests.simulation.adversaries.dishonest_node import DishonestNode, Veil, newest_shown
from tests.simulation.pool_node import PoolProcess

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Withhold(DishonestNode):
    """With `keeps = "shares"` a node that shows each of its shares only `seconds` after it was found (0: never).
    It hopes that the others work in vain meanwhile. With "blocks" it shows everything except what is a Dash block:
    it is paid like everybody else for its shares, and brings the pool nothing, which hurts the pool more than
    itself."""

    def __init__(
        self,
        simulation: Simulation,
        name: str,
        *,
        keeps: str = "blocks",
        seconds: float = 60.0,
        part: float = 0.15,
    ) -> None:
        super().__init__(simulation, name, part=part)
        if keeps not in ("blocks", "shares"):
            raise ValueError(f'{name} keeps {keeps!r}: it must be "blocks" or "shares"')
        self.keeps, self.seconds = keeps, seconds
        self.blocks_kept = 0

    def change(self, process: PoolProcess) -> None:
        """Let the process keep blocks or shares."""
        if self.keeps == "blocks":
            solved = process.node.solved

            def take(outcome: Outcome, worker: str) -> None:
                if outcome.meets_block:
                    self.blocks_kept += 1
                else:
                    solved(outcome, worker)

            process.node.solved = take  # type: ignore[method-assign]
        else:
            process.node.share_added.subscribe(partial(self._keep, process, Veil(process)))

    def _keep(self, process: PoolProcess, veil: Veil, added: tuple[Share, bool]) -> None:
        share, own = added
        if own:
            veil.hide(share.hash)
            if self.seconds:
                process.reactor.callLater(self.seconds, veil.publish, [share.hash])

    def summary(self) -> Iterator[str]:
        """Yield what it earned, and what it kept."""
        yield from super().summary()
        if self.keeps == "blocks":
            yield f"{self.name}: {self.blocks_kept} blocks kept"


class Selfish(DishonestNode):
    """Selfish mining on the share chain, after Eyal and Sirer: it works on a branch of its own that nobody else
    knows, and shows of it just enough, just in time, to make worthless what the others have found meanwhile: all
    of it as soon as they are one share behind, or level. It hopes that more of the others' work is lost than of
    its own, so that its part of the chain becomes more than its part of the hashes.

    It counts shares, not work, and so do nodes while a fork is at most five shares deep: a branch of many easy
    shares beats one of few hard ones. With `easy` it gains far more for that reason, as long as honest nodes are
    so large that they make their shares harder than they have to (`jobs.job_maker.LOCAL_PART`).
    """

    def __init__(self, simulation: Simulation, name: str, *, part: float = 0.3, easy: bool = False) -> None:
        super().__init__(simulation, name, part=part, easy=easy)
        self.branch: list[int] = []
        """Its own branch, oldest share first: what is shown already, and what is not."""
        self.wins = self.losses = 0
        """Branches that made others' shares worthless, and that were given up."""

    def change(self, process: PoolProcess) -> None:
        """Let the process hide its shares, and think of what to show whenever the node has."""
        veil = Veil(process)
        process.node.share_added.subscribe(partial(self._own_found, process, veil))
        process.node.thought.subscribe(partial(self._react, process, veil))

    def _own_found(self, process: PoolProcess, veil: Veil, added: tuple[Share, bool]) -> None:
        share, own = added
        if not own:
            return
        if self.branch and share.previous_hash != self.branch[-1]:
            if share.previous_hash in self.branch or process.node.best_share in self.branch:
                return  # it was found too late: the miner had not heard of the newest share
            self._give_up()
        veil.hide(share.hash)
        self.branch.append(share.hash)

    def _give_up(self) -> None:
        self.losses += 1
        self.branch.clear()

    def _react(self, process: PoolProcess, veil: Veil, thought: Thought) -> None:
        """Show what has to be shown now."""
        tracker = process.node.tracker
        if not self.branch or self.branch[0] not in tracker or self.branch[-1] not in tracker.verified:
            return
        heights = {share.hash: share.absheight for share in tracker.ancestors(self.branch[-1], len(self.branch))}
        base, mine = heights[self.branch[0]] - 1, heights[self.branch[-1]]
        shown = [newest_shown(process.node, head, veil.secret) for head in tracker.verified.heads]
        others = max(
            (share.absheight for each in shown if each is not None and (share := tracker.get(each)) is not None),
            default=base,
        )
        if others <= base:
            return  # nobody has found anything since
        if mine < others:
            self._give_up()
        elif mine - others >= 2:
            veil.publish([each for each in self.branch if heights[each] <= others and each in veil.secret])
        else:
            veil.publish([each for each in self.branch if each in veil.secret])
            if mine > others:
                self.wins += 1
                self.branch.clear()

    def summary(self) -> Iterator[str]:
        """Yield what it earned, and how its branches fared."""
        yield from super().summary()
        yield f"{self.name}: {self.wins} branches won, {self.losses} lost"
