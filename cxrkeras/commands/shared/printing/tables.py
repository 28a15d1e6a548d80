"""Tables for a terminal: columns that don't fit are left out, and said so."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

_GAP = 2


def width_of_output() -> int | None:
    """Columns of the terminal, or $COLUMNS; None where what is printed goes to a file or pipe."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def table_lines(
    columns: Mapping[str, Sequence[str]],
    width: int | None,
    spare: Sequence[str] = (),
    more: str = "--json",
) -> Iterator[str]:
    """A table of text, its names above it.

    Args:
        columns: {name: cells}, as many in each.
        width: in characters; None for any.
        spare: columns to do without where they don't fit, in this order.
        more: what shows all of them.
    """
    kept, out = dict(columns), []
    for name in spare:
        if width is None or _width(kept) <= width:
            break
        if kept.pop(name, None) is not None:
            out.append(name)
    if width is not None and _width(kept) > width:
        yield from _blocks(kept)
    else:
        yield from _rows(kept)
    if out:
        yield f"Too narrow for {', '.join(out)}: widen the terminal, or give {more}."


def _widths(columns: Mapping[str, Sequence[str]]) -> list[int]:
    return [max(map(len, [name, *cells])) for name, cells in columns.items()]


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    return sum(_widths(columns)) + _GAP * (len(columns) - 1)


def _rows(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    widths = _widths(columns)
    for cells in [tuple(columns), *zip(*columns.values(), strict=True)]:
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        yield (" " * _GAP).join(padded).rstrip()


def _blocks(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A few lines per row, where not even a row fits."""
    for first, *rest in zip(*columns.values(), strict=True):
        yield first
        names = list(columns)[1:]
        yield from (f"  {name}: {cell}" for name, cell in zip(names, rest, strict=True))
