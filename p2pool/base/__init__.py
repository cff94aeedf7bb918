"""The lowest layer: errors, observable values, bounded containers, rates. Imports nothing of ours."""
