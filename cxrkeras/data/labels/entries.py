"""What a target entry may be besides a value in [0, 1], and what a blank becomes."""

MASKED = -1.0
"""A target entry that no loss or metric counts. Any negative target counts as masked."""

UNCERTAIN_CLASS = 2.0
"""The target of an entry that belongs to a label's third class, "uncertain"."""

BLANK: dict[str, float] = {"zeros": 0.0, "ignore": MASKED}
"""`--blank`: the target of a finding that isn't mentioned."""
