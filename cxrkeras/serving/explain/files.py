"""What `cxrkeras explain` leaves in its folder: pictures, maps and tables."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cxrkeras.serving.explain.folder import overlay_name
from cxrkeras.serving.explain.folds import Explanation
from cxrkeras.serving.explain.overlay import Heat, overlay, sheet
from data_prep.filenames import printable
from data_prep.files import atomic_write_bytes, atomic_write_text
from data_prep.tables.cells import rows_as_csv

EXPLAINED = (
    "file",
    "name",
    "model",
    "learnt_from",
    "label",
    "probability",
    "threshold",
    "positive",
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


def write_pictures(
    out: Path, name: str, told: Explanation, heats: Sequence[Heat], opacity: float, note: str
) -> dict[Path, tuple[str, Image.Image]]:
    """`sheets/NAME.png`, and `overlays/NAME-LABEL.png` for each label.

    Returns:
        {the place of an overlay's DICOM twin: (label, overlay)}.
    """
    how = {"opacity": opacity, "title": name, "note": note}
    drawn = {}
    for heat in heats:
        picture = overlay(told.square, heat, **how)
        _write_png(out / "overlays" / overlay_name(name, heat.label), picture)
        drawn[out / "dicom" / overlay_name(name, heat.label, ".dcm")] = heat.label, picture
    _write_png(out / "sheets" / f"{name}.png", sheet(told.square, heats, **how))
    return drawn


def _write_png(path: Path, picture: Image.Image) -> None:
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
                printable(told.path),
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
    atomic_write_text(path, rows_as_csv(header, rows))
