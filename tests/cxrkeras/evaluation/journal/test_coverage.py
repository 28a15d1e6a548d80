"""Do the intervals of sensitivity hold what they say, for patients with several alike films?"""

import numpy as np
import pytest

from experiments.coverage import shares


@pytest.mark.slow
def test_sensitivity_s_intervals_hold_95_percent(capsys):
    found = shares(trials=300)
    capsys.readouterr()
    for kind in ("given", "fitted"):
        held = [
            np.concatenate(
                [v for key, v in found.items() if key[:2] == (kind, "sensitivity") and key[3] == by]
            )
            for by in ("patients", "images")
        ]
        assert 0.94 <= held[0].mean() <= 0.96
        assert held[1].mean() < 0.92  # as if films were independent
