"""Age, sex and view: who was filmed, and how.

The sick are filmed lying down, so that the view alone tells something.
"""

import numpy as np

from cxrkeras.data.inputs import KNOWN, UNKNOWN, as_numbers
from cxrkeras.evaluation.shortcuts import Shortcut


class Part(Shortcut):
    """Columns that the manifest lacks are left out."""

    def features(self, dataset, rows):
        """Each number, whether it is known, and its square (age) or which code it is."""
        columns = []
        for name in KNOWN:
            if name not in rows:
                continue
            values = as_numbers(name, rows[name])[:, 0].astype(float)
            known = values != UNKNOWN
            years = np.where(known, values / 100, 0)
            shapes = [years, years**2] if name == "age" else [values == code for code in range(3)]
            columns += [known, *shapes]
        return np.stack(columns, axis=1).astype(float) if columns else np.empty((len(rows), 0))
