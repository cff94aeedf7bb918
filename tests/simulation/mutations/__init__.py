"""The proof that the simulation can fail: deliberate defects of p2pool, each of which it must find.

`python -m tests.simulation.mutations` runs all of them, and the same worlds and seeds without a defect. `editing`
changes the source of modules as they are imported, `defects` has the list, `proof` runs it.
"""
