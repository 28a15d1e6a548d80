"""Excel's workbooks (.xlsx): a sheet's cells as the text that a person sees, and tables written.

A workbook is a ZIP file of XML that anyone may have made, so its size is bounded and a document
type, which could make the XML endless, is refused before it is parsed.
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import UserError
from data_prep.files import not_a_file
from data_prep.tables.cells import marked

if TYPE_CHECKING:
    import pandas as pd

ENDING = ".xlsx"
MOST_BYTES = 1 << 30  # unpacked; CheXpert's 224,000 rows have half of that
_PIECE = 1 << 20
_SHOWN = 8  # sheets that an error names
_LONGEST = 32_767  # characters, more Excel doesn't take
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of a ZIP file: the same table is the same bytes
_DOCTYPE = re.compile(rb"<!(DOCTYPE|ENTITY)")
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*?ref="([A-Z]+\d+:[A-Z]+\d+)"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[ />]")
_CELL = re.compile(rb"<(?:\w+:)?c ([^>]*[^/>])>(.*?)</(?:\w+:)?c>", re.DOTALL)
_VALUE = re.compile(rb"<(?:\w+:)?v>[^<]+<")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # no XML has them


def sheet_of(path: Path) -> tuple[Path, str | None]:
    """The file and the sheet that `FILE.xlsx:SHEET` means; None for a path without a sheet."""
    found = re.fullmatch(r"(.+\.xlsx):([^:]+)", str(path), re.IGNORECASE | re.DOTALL)
    return (Path(found[1]), found[2]) if found and not path.exists() else (path, None)


def is_workbook(path: Path) -> bool:
    """Whether a file is named as a workbook."""
    return path.suffix.lower() == ENDING


def read_workbook(path: Path, sheet: str | None, most_cells: int) -> list[list[str]]:
    """The rows of a sheet, as stripped text; all have the same length.

    A formula gives the value that was saved with it. Dates are written YYYY-MM-DD, whole numbers
    without a point, numbers shown with leading zeros (as 00042) with them, and every cell of a
    merged one has its value.

    Args:
        path: the workbook.
        sheet: its name; None takes the only one with rows.
        most_cells: that are read.

    Raises:
        UserError: it can't be read; the sheet isn't there, or several have rows and none is named;
            its first row has merged cells; a formula's value wasn't saved; it is too large.
    """
    if kind := not_a_file(path):
        raise UserError(f"{path} is {kind}: a workbook is needed.")
    try:
        _check(path)
        return _read(path, sheet, most_cells)
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(f"There is no file {path}. Check the path.") from None
    except Exception:  # openpyxl raises anything at all on a damaged file
        raise UserError(
            f"{path.name} can't be read as an Excel workbook: it is damaged, encrypted, or "
            "something else. Save it again as .xlsx, or as CSV (UTF-8)."
        ) from None


def _check(path: Path) -> None:
    """Unpack all a piece at a time, and forget it: a small file may hold an endless one.

    All, since a sheet may lie under any name, whatever its ending.
    """
    count = 0
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            pictured = name.startswith("xl/media/")  # which may be SVG
            end = b""
            with file.open(name) as unpacked:
                while piece := unpacked.read(_PIECE):
                    count += len(piece)
                    if count > MOST_BYTES:
                        raise UserError(
                            f"{path.name} holds more than {MOST_BYTES >> 20} MB of tables: the "
                            "most that is read. Leave out what isn't needed, or save it as CSV."
                        )
                    if not pictured and _DOCTYPE.search(end + piece):
                        raise UserError(f"{path.name} is no Excel workbook: it has a DOCTYPE.")
                    end = piece[-16:]


def _read(path: Path, sheet: str | None, most_cells: int) -> list[list[str]]:
    with warnings.catch_warnings():
        # openpyxl tells of what it leaves out: drop-down lists, styles, days beyond the calendar.
        warnings.filterwarnings("ignore", module="openpyxl")
        return _read_quietly(path, sheet, most_cells)


def _read_quietly(path: Path, sheet: str | None, most_cells: int) -> list[list[str]]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        page = _chosen(book, sheet, path)
        if page._worksheet_path.lstrip("/").startswith("xl/media/"):
            raise ValueError("a picture as a sheet")
        with zipfile.ZipFile(path) as file, file.open(page._worksheet_path.lstrip("/")) as stream:
            content = stream.read()
        rows = _rows(page, path, most_cells)
        if _FORMULA.search(content):
            _check_formulas(content, path)
    finally:
        book.close()
    _fill(rows, [found.decode() for found in _MERGED.findall(content)], path)
    width = max((len(row) for row in rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows if any(row)]


def _chosen(book: Any, sheet: str | None, path: Path) -> Any:
    pages = book.worksheets
    if sheet is not None:
        named = [page for page in pages if page.title.casefold() == sheet.strip().casefold()]
        if not named:
            raise UserError(
                f"{path.name} has no sheet {sheet!r}. Its sheets: {_listed(pages)}. Name one: "
                f"{path.name}:{pages[0].title}"
            )
        return named[0]
    filled = [page for page in pages if page.sheet_state == "visible" and _has_rows(page)]
    if len(filled) > 1:
        raise UserError(
            f"{path.name} has {len(filled)} sheets with rows: {_listed(filled)}. Say which: "
            f"{path.name}:{filled[0].title}"
        )
    return filled[0] if filled else pages[0]


def _has_rows(page: Any) -> bool:
    page.reset_dimensions()  # many programs write wrong ones
    values = page.iter_rows(values_only=True)
    return any(value not in (None, "") for row in values for value in row)


def _listed(pages: Sequence[Any]) -> str:
    names = ", ".join(page.title for page in pages[:_SHOWN])
    return names + ", …" * (len(pages) > _SHOWN)


def _rows(page: Any, path: Path, most_cells: int) -> list[list[str]]:
    page.reset_dimensions()
    rows, room = [], most_cells
    for cells in page.iter_rows():
        room -= len(cells) + 1
        if room < 0:
            raise UserError(
                f"{path.name} holds more than {most_cells // 1_000_000} million cells: the most "
                "that is read. Leave out columns, or divide it."
            )
        rows.append([_text(cell) for cell in cells])
    return rows


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number(value, cell.number_format)
    return str(value).strip()


def _number(value: float, shown: str) -> str:
    """A number; with its leading zeros where they are only shown."""
    if value != int(value):
        return repr(value)
    whole = str(int(value))
    return whole.zfill(len(shown)) if re.fullmatch("0+", shown or "") else whole


def _check_formulas(content: bytes, path: Path) -> None:
    """Refuse a sheet with a formula whose value wasn't saved; an empty text is a value."""
    for about, inner in _CELL.findall(content):
        if _FORMULA.search(inner) and not _VALUE.search(inner) and b't="str"' not in about:
            where = re.search(rb'r="(\w+)"', about)
            raise UserError(
                f"{path.name}: the formula in {where[1].decode() if where else 'a cell'} has no "
                "saved value. Open the file in a spreadsheet program, save it, and try again."
            )


def _fill(rows: list[list[str]], merged: Iterable[str], path: Path) -> None:
    """Give each cell of a merged one its value; in the first row that would name columns alike."""
    from openpyxl.utils import range_boundaries

    begin = next((number for number, row in enumerate(rows) if any(row)), 0)
    for area in merged:
        left, top, right, bottom = range_boundaries(area)
        if top - 1 <= begin < bottom and left < right:
            raise UserError(
                f"{path.name}: the first row must name each column, and its cells {area} are "
                "merged. Split them and name each, or remove the title above the names."
            )
        if top > len(rows) or left > len(rows[top - 1]):
            continue
        value = rows[top - 1][left - 1]
        for row in rows[top - 1 : bottom]:
            end = min(right, len(row))
            row[left - 1 : end] = [value] * max(end - left + 1, 0)


def frame_as_workbook(table: pd.DataFrame, sheet: str) -> bytes:
    """A frame without its index as a workbook; the same frame gives the same bytes.

    Text is text, whatever it begins with: none of it is taken for a formula, also when a person
    edits it.

    Args:
        table: of text and numbers; NaN and NA are blank.
        sheet: the sheet's name.
    """
    import pandas as pd
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    page = book.create_sheet(sheet)
    page.freeze_panes = "A2"

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return None if pd.isna(value) else value
        text = _UNPRINTABLE.sub("\ufffd", marked(value) if value.startswith("'") else value)
        made = WriteOnlyCell(page, text[:_LONGEST])
        made.data_type = "s"
        made.quotePrefix = marked(text) != text
        return made

    page.append([cell(str(name)) for name in table.columns])
    for row in table.astype(object).itertuples(index=False):
        page.append([cell(value) for value in row])
    file = io.BytesIO()
    book.save(file)
    return _undated(file.getvalue())


def _undated(content: bytes) -> bytes:
    """The same ZIP file without the time at which it was made."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as made, zipfile.ZipFile(file, "w") as kept:
        for name in made.namelist():
            inner = made.read(name)
            if name == "docProps/core.xml":
                inner = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"1980-01-01T00:00:00Z", inner)
            kept.writestr(zipfile.ZipInfo(name, _EPOCH), inner, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def header_of(path: Path) -> Iterator[str]:
    """The names of a workbook's columns; none of what isn't one."""
    try:
        rows = read_workbook(path, None, MOST_BYTES)
    except UserError:
        return
    yield from (rows[0] if rows else ())
