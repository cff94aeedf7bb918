"""The share chain as a whole: forest, PPLNS window, verification, best share, storage.

- `forest`: heads, tails, ancestors; `weights`: the sliding PPLNS window
- `tracker`: verifies shares and chooses the best one; `pruning`: what it forgets; `refused`: branches on shares
  that break a rule; `refused_votes`: shares that c2pool-dash refuses for their votes; `votes`: votes counted
- `store`: shares in SQLite; `archive` and `importing`: share files
- `figures`: rates and other facts of a chain; `newest`: the chain with its forks, for drawing; `found_times`: when
  shares were found; `own_shares`: what became of those found here; `expectations`: what a miner may expect to earn
"""
