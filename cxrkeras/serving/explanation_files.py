"""What `cxrkeras explain` leaves in its folder: pictures, maps and tables."""

import csv
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxrkeras.serving.explain import Explanation
from cxrkeras.serving.overlay import Heat, overlay, sheet
from data_prep.errors import UserError
from data_prep.files import atomic_write_bytes, atomic_write_json, atomic_write_text

MARK = "explained.json"
_FOLDERS = ("overlays", "sheets", "maps")
EXPLAINED = (
    "file",
    "name",
    "model",
    "learnt_from",
    "label",
    "probability",
    "threshold",
    "called",
    "score",
    "bias",
    "map_mean",
    "map_low",
    "map_high",
    "peak_x",
    "peak_y",
    "pictured",
)
BOXES = ("name", "label", "cut", "x", "y", "width", "height", "highest")


def begin(out: Path, about: dict) -> None:
    """Make the folder, or clear what an earlier explanation left in it.

    Raises:
        UserError: it holds something else, or can't be written.
    """
    others = out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir())
    if (out.exists() and not out.is_dir()) or (others and not (out / MARK).is_file()):
        raise UserError(
            "--out is a new or empty folder, or one that `cxrkeras explain` wrote. "
            f"Received: {out}, which holds something else. Give another folder."
        )
    try:
        for name in _FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
        for table in {*out.glob("*.csv"), *out.glob("localisation.*")}:
            table.unlink()
        atomic_write_json(out / MARK, about)
    except OSError as error:
        raise UserError(f"--out {out} can't be written: {error.strerror}.") from error


def unique_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its own without the ending, numbered where two are alike."""
    seen: dict[str, int] = {}
    names = []
    for file in files:
        stem = _clean(file.stem) or "film"
        seen[stem.casefold()] = count = seen.get(stem.casefold(), 0) + 1
        names.append(stem if count == 1 else f"{stem}~{count}")
    return names


def _clean(text: str) -> str:
    return re.sub(r"[^\w.\-]+", "_", text).strip("._")[:100]


def write_pictures(
    out: Path, name: str, told: Explanation, heats: Sequence[Heat], opacity: float, note: str
) -> None:
    """`sheets/NAME.png`, and `overlays/NAME-LABEL.png` for each label."""
    how = {"opacity": opacity, "title": name, "note": note}
    for heat in heats:
        path = out / "overlays" / f"{name}-{_clean(heat.label) or 'label'}.png"
        _write_png(path, overlay(told.square, heat, **how))
    _write_png(out / "sheets" / f"{name}.png", sheet(told.square, heats, **how))


def _write_png(path: Path, picture) -> None:
    content = io.BytesIO()
    picture.save(content, "PNG")
    atomic_write_bytes(path, content.getvalue())


def write_maps(out: Path, name: str, told: Explanation) -> None:
    """`maps/NAME.npy`: (K, h, w) float32, the labels in the model's order."""
    content = io.BytesIO()
    np.save(content, told.maps)
    atomic_write_bytes(out / "maps" / f"{name}.npy", content.getvalue())


def explained_rows(
    name: str, told: Explanation, labels: Sequence[str], thresholds: np.ndarray, pictured: set[int]
) -> list[tuple]:
    """One row of `EXPLAINED` per label."""
    model = "all" if told.fold is None else f"fold {told.fold}"
    rows = []
    for k, label in enumerate(labels):
        heat, cut, place = told.maps[k], thresholds[k], told.peak(k)
        known = not np.isnan(cut)
        rows.append(
            (
                told.path,
                name,
                model,
                int(told.learnt),
                label,
                f"{told.probability[k]:.6g}",
                f"{cut:.6g}" if known else "",
                int(told.probability[k] > cut) if known else "",
                f"{told.scores[k]:.9g}",
                "" if told.bias is None else f"{told.bias[k]:.9g}",
                *(f"{v:.9g}" for v in (heat.mean(dtype=np.float64), heat.min(), heat.max())),
                *(("", "") if place is None else (f"{place[0]:.1f}", f"{place[1]:.1f}")),
                int(k in pictured),
            )
        )
    return rows


def box_rows(name: str, label: str, column: int, told: Explanation) -> list[tuple]:
    """One row of `BOXES` per box of a label's map."""
    return [
        (name, label, box.cut, *box.corners, f"{box.highest:.0f}") for box in told.boxes(column)
    ]


def write_table(path: Path, header: Sequence[str], rows: Sequence[tuple]) -> None:
    """A CSV in one step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    atomic_write_text(path, text.getvalue())
