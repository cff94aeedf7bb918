"""The ground floor: errors, observable values, bounded containers, rates. Imports nothing of ours."""
