"""Films to prepared images.

Processor time of one core, from the file to the written PNG: ours (with its checks, digests and
signature) against a loop of pydicom and scikit-image, and against dcmtk's dcmj2pnm where it is
installed. JPEG 2000 has a row of its own: OpenJPEG decodes it on our side and in the loop, which
takes most of the time of either. Then a whole `prep` of many small files: memory, and how busy the
cores are.
"""

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_prep.registry import option
from experiments.bench import Measurement, Row

_DCMTK = "dcmj2pnm"
_SIDE = 512


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"files": 20}

    files: int = option(100_000, "Small files that are prepared.", ge=1)
    side: int = option(32, "Of these, pixels.", ge=24)

    def measure(self, stand):
        """One core: two groups of films, two peers. All cores: memory and load."""
        for what, films in _groups(stand).items():
            size = f"{len(films)} films ({what}) to {_SIDE} px, one core"
            found = stand.in_turn(ours=_rate(_ours, films, stand), peer=_rate(_loop, films, stand))
            plain = what == "not JPEG 2000"
            against = "pydicom and scikit-image"
            yield Row(size, "films/s", **found, against=against, at_least=3 if plain else None)
            if plain and shutil.which(_DCMTK):
                sides = {"ours": _rate(_ours, films, stand), "peer": _rate(_dcmtk, films, stand)}
                found = stand.in_turn(**sides)
                yield Row(size, "films/s", **found, against="dcmtk", at_least=1.5)
        yield from self._many(stand)

    def _many(self, stand):
        table = _write(stand.scratch / "raw", self.files, self.side)
        key = {"CXRKERAS_KEY_FILE": str(stand.scratch / "key")}
        folders = "--images", table.parent / "films", "--labels", table
        out = stand.scratch / "prepared"
        program = "from cxrkeras.cli import main; main()"
        idle, spent = _machine()
        run = stand.run("-c", program, "prep", "table", *folders, "--out", out, env=key)
        idle, spent = (now - before for now, before in zip(_machine(), (idle, spent), strict=True))
        work = f"`prep` of {self.files:,} files of {self.side} px"
        note = "Cores count as busy with whatever else runs on the machine."
        yield Row(f"{work}: peak memory of its main process", "MB", [run.peak_mb], at_most=500)
        busy = [100 * (1 - idle / spent)]
        yield Row(f"{work}: cores busy", "%", busy, at_least=90, note=note)
        yield Row(f"{work}: speed", "files/s", [self.files / run.seconds])


def _machine() -> tuple[int, int]:
    """Ticks of all cores since the start: idle or waiting for a disk, and all (Linux)."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _groups(stand) -> dict[str, list[Path]]:
    if stand.small:
        folder = _write(stand.scratch / "few", 2, 64).parent
        return {"not JPEG 2000": sorted((folder / "films").glob("*.dcm"))}
    films = sorted(stand.real("dicom/chest").glob("*.dcm"))
    packed = [path for path in films if "J2K" in path.name]
    return {
        "not JPEG 2000": [path for path in films if path not in packed],
        "JPEG 2000": packed,
    }


def _rate(work, films, stand):
    """Films per second of processor time, its children's included."""

    def used() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        usages = [resource.getrusage(kind) for kind in kinds]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def rate() -> float:
        start = used()
        for film in films:
            work(film, stand.scratch / "image.png")
        return len(films) / (used() - start)

    rate()  # decoders are imported when they are first needed
    return rate


def _ours(film: Path, out: Path) -> None:
    from data_prep.dataset.worker import Job, prepare_file
    from data_prep.films.square import Settings

    result = prepare_file(Job("0", film, out), Settings(_SIDE), b"k" * 32)
    if result.reason:
        raise RuntimeError(f"{film.name}: {result.reason}")


def _loop(film: Path, out: Path) -> None:
    """What a user would write."""
    import pydicom
    from PIL import Image
    from skimage.transform import resize

    dataset = pydicom.dcmread(film)
    pixels = dataset.pixel_array.astype(float)
    pixels = (pixels - pixels.min()) / np.ptp(pixels)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = 1 - pixels
    small = resize(pixels, (_SIDE, _SIDE), anti_aliasing=True)
    Image.fromarray(np.uint8(255 * small)).save(out)


def _dcmtk(film: Path, out: Path) -> None:
    size = ["--scale-x-size", str(_SIDE), "--scale-y-size", str(_SIDE)]
    how = ["--min-max-window", "--write-png", "--nointerlace", *size]
    subprocess.run([_DCMTK, "--quiet", *how, film, out], check=True, stdin=subprocess.DEVNULL)


def _write(folder: Path, count: int, side: int) -> Path:
    """DICOM files that all differ, and their table, the path of which is given back."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    (folder / "films").mkdir(parents=True)
    meta, dataset = FileMetaDataset(), pydicom.Dataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.file_meta = meta
    rng, lines = np.random.default_rng(0), ["image,patient,Mass"]
    for number in range(count):
        dataset.PatientID = str(number // 2)
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.PixelData = rng.bytes(side * side)
        path = folder / "films" / f"{number:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        lines.append(f"{path.name},{number // 2},{number % 2}")
    table = folder / "labels.csv"
    table.write_text(os.linesep.join(lines))
    return table
