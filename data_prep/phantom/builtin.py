"""The built-in data: synthetic chest radiographs of three hospitals, as DICOM and prepared."""

import json
from dataclasses import replace
from pathlib import Path

from data_prep.dataset.prepare import prepare
from data_prep.dataset.repair import is_whole
from data_prep.errors import UserError
from data_prep.files import atomic_write_json
from data_prep.phantom import write_phantoms
from data_prep.readers import table
from data_prep.readers.shared.records import Box
from data_prep.say import say
from data_prep.tables.table import read_table

# The phantoms are nobody's images: a published key makes their pseudonyms the same everywhere.
PUBLIC_KEY = b"cxrkeras: phantoms are public"
HOSPITALS = ("target", "a", "b")
_MARK = "phantom.json"
_SIDES = ("x", "y", "width", "height")
_CITATION = "Synthetic phantoms of cxrkeras; no patient."


def builtin_datasets(
    folder: Path,
    *,
    patients: int = 120,
    source_patients: int | None = None,
    size: int = 512,
    seed: int = 0,
    workers: int | None = None,
    verify: bool = False,
    progress: bool = True,
) -> tuple[Path, Path, Path]:
    """Write and prepare the built-in data; returns at once if that is already done.

    Args:
        folder: gets `raw/HOSPITAL/` (DICOM, labels, boxes) and the prepared `target`,
            `hospital_a`, `hospital_b`.
        patients: of the target.
        source_patients: of each source hospital; `patients` if None.
        size: side of the DICOM images and of the prepared ones, pixels.
        seed: makes the data; equal settings give equal bytes.
        workers: processes; the machine's cores if None; 0 works in this process.
        verify: check every image of a folder that is there, whatever its settings, and make again
            what is damaged or missing.
        progress: show how far it is.

    Returns:
        The prepared folders of the target and of the hospitals a and b.

    Raises:
        UserError: the folder holds built-in data of other settings, or other files.
    """
    folder = Path(folder)
    sources = patients if source_patients is None else source_patients
    settings = {"patients": patients, "source_patients": sources, "size": size, "seed": seed}
    if verify and (begun := _begun_with(folder)):
        settings = begun
        names = ("patients", "source_patients", "size", "seed")
        patients, sources, size, seed = (begun[name] for name in names)
    outs = tuple(folder / _folder_name(hospital) for hospital in HOSPITALS)
    if _begin(folder, settings) and not verify and all(map(is_whole, outs)):
        return outs
    for hospital, out in zip(HOSPITALS, outs, strict=True):
        count = patients if hospital == "target" else sources
        raw = write_phantoms(
            folder / "raw" / hospital,
            patients=count,
            seed=seed,
            size=size,
            hospital=hospital,
            workers=1 if workers == 0 else workers,
            progress=progress,
        )
        source = table.Part(labels=raw / "labels.csv").read(raw / "dicom", f"phantom {hospital}")
        boxes = _boxes(raw / "boxes.csv", size)
        source = replace(source, origin="built-in phantoms", citation=_CITATION, boxes=boxes)
        # Phantoms of one patient are alike by design: none of them is a copy.
        done = prepare(
            source,
            out,
            key=PUBLIC_KEY,
            size=size,
            near=False,
            workers=workers,
            verify=verify,
            progress=progress,
        )
        if done.mended:
            say(f"{out}: {done.mended} images made again (damaged or missing)")
    return outs


def _boxes(path: Path, size: int) -> tuple[Box, ...]:
    """The findings' boxes that lie beside the phantoms, as parts of the side."""
    rows = read_table(path).itertuples(index=False)
    return tuple(
        Box(row.image, row.label, *(float(getattr(row, part)) / size for part in _SIDES))
        for row in rows
    )


def _folder_name(hospital: str) -> str:
    return hospital if hospital == "target" else f"hospital_{hospital}"


def _begin(folder: Path, settings: dict) -> bool:
    """Whether the folder was begun with these settings; marks it where it is new."""
    if begun := _begun_with(folder):
        if begun != settings:
            raise UserError(f"{folder} holds built-in data of other settings. Give another folder.")
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds other files already. Give a new or empty folder.")
    atomic_write_json(folder / _MARK, settings)
    return False


def _begun_with(folder: Path) -> dict | None:
    mark = folder / _MARK
    return json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else None
