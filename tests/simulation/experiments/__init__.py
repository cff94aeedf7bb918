"""What the simulation tells about the share chain: series of worlds, their figures, plots and tables.

`theory` has the formulas that stand next to what was measured, `running` runs a world in a process of its own, and
each experiment is a module with one `EXPERIMENT`.
"""
