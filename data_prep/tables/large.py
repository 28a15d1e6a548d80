"""Some columns of a large table, in a few seconds and without room for the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import UserError
from data_prep.tables.vocabulary import nearest

if TYPE_CHECKING:
    import pandas as pd


def read_columns(path: Path, columns: Sequence[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """Read columns of a public archive's table as text.

    Args:
        path: CSV with commas in UTF-8, gzipped or not.
        columns: those that it must have.
        others: those that it may have.

    Returns:
        A frame of the columns in this order, a missing value is `""`; of `others` only those that
        are there.

    Raises:
        UserError: it can't be read, lacks a column, or has no rows.
    """
    import pandas as pd

    try:
        with path.open("rb") as file:
            packed = "gzip" if file.read(2) == b"\x1f\x8b" else None
        options = {"compression": packed, "encoding": "utf-8-sig"}
        names = list(pd.read_csv(path, nrows=0, **options).columns)
        wanted = [*columns, *(name for name in others if name in names)]
        for name in columns:
            if name not in names:
                near = nearest(name, names)
                raise UserError(f"{path.name} has no column {name!r}. {near}")
        frame = pd.read_csv(path, usecols=wanted, dtype=str, keep_default_na=False, **options)
    except (OSError, EOFError) as error:
        raise UserError(f"{path.name} can't be read: {error}. Download it again.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        said = str(error).strip().splitlines()[-1]
        raise UserError(f"{path.name} isn't a table: {said}. Download it again.") from None
    if frame.empty:
        raise UserError(f"{path.name} has a header but no rows. Download it again.")
    return frame[wanted]
