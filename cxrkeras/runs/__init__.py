"""What describes a run, where it lies, and which runs a folder holds.

The package can be called, since it has the name that the Python face gives to a table of these:

>>> table = cxrkeras.runs("runs")
>>> "first" in set(table["run"])
True
"""

import sys
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class _Runs(ModuleType):
    def __call__(self, folder: str | PathLike[str] = "runs") -> "pd.DataFrame":
        """The runs below a folder, finished or not, the newest first.

        Args:
            folder: in which they lie, at most four folders deep.

        Returns:
            A row per run: `run` (its place in the folder), `folder`, `date` (UTC), `finished`,
            `progress`, `folds_done`, `folds`, `duration` (seconds), `device`, `commit`, `method`,
            `backbone`, `recipe`, `source`, `data`, and `auroc` (macro, out of fold) with
            `auroc_low` and `auroc_high`; what isn't known is missing.

        Raises:
            UserError: there is no such folder.
        """
        import pandas as pd

        from cxrkeras.runs.listing import COLUMNS, list_runs

        found = pd.DataFrame(list_runs(folder), columns=list(COLUMNS))
        return found.assign(date=pd.to_datetime(found["date"], utc=True))


sys.modules[__name__].__class__ = _Runs
