"""Two folders of results, file by file: equal, or where and how far apart."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from experiments.guard.exclusions import FIELDS, RENAMED, reason, renamed

Leaf = str | int | float | bool | None
SHOWN = 3
LONGEST = 60  # characters of a value that are shown
EXCUSED = (*FIELDS, *RENAMED)


@dataclass(frozen=True)
class Verdict:
    """What became of one file.

    Args:
        path: within the case, as the later side calls it.
        word: `equal`, `excused` (equal but for fields that may differ and words that were renamed
            on purpose), `differs`, `only before`, `only after`, or `excluded`.
        said: how far and where; the reason of an exclusion; what is excused.
    """

    path: PurePath
    word: str
    said: str = ""

    @property
    def alike(self) -> bool:
        """Whether nothing is wrong."""
        return self.word in ("equal", "excused", "excluded")


def verdicts(before: Path, after: Path) -> Iterator[Verdict]:
    """One for each file that either folder has."""
    for one, other in _pairs(before, after):
        path = other or one
        why = reason(path)
        if why:
            yield Verdict(path, "excluded", why)
        elif one is None or other is None:
            yield Verdict(path, "only after" if one is None else "only before")
        else:
            yield Verdict(path, *_judge(before / one, after / other))


def _pairs(before: Path, after: Path) -> list[tuple[PurePath | None, PurePath | None]]:
    """Files under the same name, else under the one name that means the same."""
    mine, theirs = _files(before), _files(after)
    pairs = [(path, path) for path in mine & theirs]
    left, right = _by_place(mine - theirs), _by_place(theirs - mine)
    for place in left.keys() | right.keys():
        one, other = left.get(place, []), right.get(place, [])
        if len(one) == len(other) == 1:
            pairs.append((one[0], other[0]))
        else:
            pairs += [(path, None) for path in one] + [(None, path) for path in other]
    return sorted(pairs, key=lambda pair: str(pair[1] or pair[0]))


def _files(folder: Path) -> set[PurePath]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def _by_place(paths: set[PurePath]) -> dict[PurePath, list[PurePath]]:
    places: dict[PurePath, list[PurePath]] = {}
    for path in sorted(paths):
        places.setdefault(_place(path), []).append(path)
    return places


def _place(path: PurePath) -> PurePath:
    # stages/NAME-KEY: the key is a hash of the stage's description, see sources.json.
    plain = re.sub(r"(stages/.+)-[0-9a-f]{6}(?=/)", r"\1", path.as_posix())
    return PurePath(*(renamed(part) for part in plain.split("/")))


def _judge(before: Path, after: Path) -> tuple[str, str]:
    if before.read_bytes() == after.read_bytes():
        return "equal", ""
    compare = {".json": _json, ".csv": _csv, ".npy": _array, ".png": _array}.get(before.suffix)
    word, said = compare(before, after) if compare else ("differs", "other bytes")
    if word == "excused":
        read = before.read_text(encoding="utf-8") + after.read_text(encoding="utf-8")
        said = ", ".join(name for name in EXCUSED if re.search(rf"\b{name}\b", read))
        return (word, said) if said else ("differs", "the same content in other bytes")
    return word, said


def _json(before: Path, after: Path) -> tuple[str, str]:
    one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    return _fields(*(dict(_leaves(side)) for side in (one, other)))


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            if key not in FIELDS:
                yield from _leaves(part, f"{place}/{renamed(str(key))}")
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves(part, f"{place}/{number}")
    elif isinstance(value, str) and value[:1] in ("{", "["):
        yield from _leaves(_unpacked(value), place)
    else:
        yield place, str(value) if isinstance(value, dict | list) else value


def _unpacked(text: str) -> object:
    """A string that is JSON itself, as in ONNX's metadata; any other as it is, but marked."""
    try:
        return json.loads(text)
    except ValueError:
        return f"text {text}"


def _csv(before: Path, after: Path) -> tuple[str, str]:
    one, other = (_rows(path) for path in (before, after))
    if len(one) != len(other):
        return "differs", f"{len(one)} rows before, {len(other)} after"
    if one != other and sorted(map(str, one)) == sorted(map(str, other)):
        return "differs", "the same rows in another order"
    return _fields(_cells(one), _cells(other))


def _rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text(encoding="utf-8")
    table = csv.DictReader(io.StringIO(text, newline=""))
    return [
        {renamed(name): renamed(cell) for name, cell in row.items() if name not in FIELDS}
        for row in table
    ]


def _cells(rows: list[dict[str, str]]) -> dict[str, Leaf]:
    return {f"{row}/{name}": cell for row, cells in enumerate(rows) for name, cell in cells.items()}


def _fields(one: Mapping[str, Leaf], other: Mapping[str, Leaf]) -> tuple[str, str]:
    said = []
    for word, places in (("before", one.keys() - other.keys()), ("after", other.keys() - one)):
        if places:
            said.append(f"{len(places)} fields only {word}: {_some(places)}")
    numbers, words = {}, []
    for place in one.keys() & other.keys():
        left, right = _plain(one[place]), _plain(other[place])
        if repr(left) != repr(right):
            pair = _number(left), _number(right)
            if None in pair or pair[0] == pair[1]:
                words.append((place, (left, right)))
            else:
                numbers[place] = pair
    if numbers:
        said.append(_far(numbers, sum(_number(leaf) is not None for leaf in one.values())))
    if words:
        shown = [f"{place}: {_short(left)} -> {_short(right)}" for place, (left, right) in words]
        said.append(f"{len(words)} of {len(one)} are written otherwise: {_some(shown)}")
    if not said and list(one) != list(other):
        said.append("the same fields in another order")
    return ("differs", "; ".join(said)) if said else ("excused", "")


def _plain(value: Leaf) -> Leaf:
    return renamed(value) if isinstance(value, str) else value


def _number(value: Leaf) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _short(value: Leaf) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _some(words: object) -> str:
    listed = sorted(words)
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")


def _far(numbers: Mapping[str, tuple[float, float]], fields: int) -> str:
    def size(place: str) -> float:
        gap = abs(numbers[place][0] - numbers[place][1])
        return math.inf if math.isnan(gap) else gap

    worst = max(sorted(numbers), key=size)
    left, right = numbers[worst]
    relative = max(_relative(*pair) for pair in numbers.values())
    return (
        f"{len(numbers)} of {fields} numbers differ by up to {size(worst):.1e} "
        f"(relative {relative:.1e}), most at {worst}: {left!r} -> {right!r}"
    )


def _relative(left: float, right: float) -> float:
    largest = max(abs(left), abs(right))
    return abs(left - right) / largest if largest else 0.0


def _array(before: Path, after: Path) -> tuple[str, str]:
    one, other = (_load(path) for path in (before, after))
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return "differs", f"{one.dtype}{one.shape} before, {other.dtype}{other.shape} after"
    if one.dtype.kind not in "fiub":
        return "differs", "other bytes"
    one, other = one.astype(float), other.astype(float)
    apart = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    if not apart.any():
        return "differs", "the same values in other bytes"
    left, right = one[apart], other[apart]
    gap = np.nan_to_num(np.abs(left - right), nan=np.inf)
    relative = np.nan_to_num(gap / np.maximum(np.abs(left), np.abs(right)), nan=np.inf)
    return "differs", (
        f"{gap.size} of {one.size} values differ by up to {gap.max():.1e} "
        f"(relative {relative.max():.1e})"
    )


def _load(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    with Image.open(path) as picture:
        return np.asarray(picture)
