"""From a request to a prepared dataset: read, selected, pseudonymised, prepared."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.dataset.identity import default_key_file, load_key
from data_prep.dataset.prepare import Summary, prepare
from data_prep.errors import UserError, WrongUse
from data_prep.filenames import printable
from data_prep.readers import Reader
from data_prep.readers.shared.records import Source
from data_prep.readers.shared.selection import limited, without
from data_prep.readers.shared.wording import OWN, worded
from data_prep.say import say

_RASTER = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_PUBLIC_KEY = b"cxrkeras: a public archive"


def make_dataset(
    reader: Reader,
    raw: Path,
    out: Path,
    *,
    name: str | None = None,
    findings: str = OWN,
    exclude: Sequence[Path] = (),
    limit: int | None = None,
    seed: int = 0,
    key_file: Path | None = None,
    tell: Callable[[str], None] = say,
    **settings: Any,
) -> Summary:
    """Read raw files, select the wanted part, and prepare it.

    Args:
        reader: of their layout.
        raw: their folder; `out` can't lie in it.
        out: the dataset's folder.
        name: of the dataset; the name of `out` if None.
        findings: the words for its labels, see `wording.worded`.
        exclude: lists of images to leave out, see `selection.without`.
        limit: take only a sample of about this many images, see `selection.limited`.
        seed: seed of that sample.
        key_file: file of the pseudonyms' secret key; the user's own if None.
        tell: called with each line about how the data were understood, before the work begins.
        **settings: of `prepare.prepare`. A public archive's identifiers stay, and with `public`
            those of other data; no key is needed then.

    Returns:
        What the dataset holds.

    Raises:
        UserError: as `Reader.read` and `prepare.prepare`; or `out` or the key would be in a wrong
            place.
        WrongUse: `stretch` isn't two percentiles.
    """
    _check(reader, raw, out, settings.get("stretch"))
    source = reader.read(raw, name or printable(out.resolve().name))
    source = worded(source, findings)
    source = without(source, tuple(exclude)) if exclude else source
    source = limited(source, limit, seed) if limit else source
    for note in source.notes:
        tell(note)
    public = reader.public or settings.get("public", False)
    settings = {"views": reader.default_views, **settings, "public": public}
    key = _PUBLIC_KEY if public else _key(key_file, out, tell)
    if not public and not settings.get("hash_names"):
        _tell_names(source, tell)
    done = prepare(source, out, key=key, **settings)
    return replace(done, notes=tuple(done.description["notes"][len(source.notes) :]))


def _check(reader: Reader, raw: Path, out: Path, stretch: tuple[float, float] | None) -> None:
    if out.resolve().is_relative_to(raw.resolve()):
        what = "the archive's folder" if reader.archive else "--images"
        raise UserError(f"--out {out} lies inside {what}. Give a place outside that folder.")
    if stretch and not 0 <= stretch[0] < stretch[1] <= 100:
        raise WrongUse(
            f"--stretch needs two percentiles, 0 <= LOW < HIGH <= 100; received {stretch[0]:g} "
            f"{stretch[1]:g}."
        )


def _key(path: Path | None, out: Path, tell: Callable[[str], None]) -> bytes:
    path = path or default_key_file()
    if path.resolve().is_relative_to(out.resolve()):
        raise UserError(f"The key file {path} would lie inside the dataset. Give a place outside.")
    key = load_key(path)
    tell(f"patients become pseudonyms with the key {path} (keep it, and keep it secret)")
    return key


def _tell_names(source: Source, tell: Callable[[str], None]) -> None:
    if any(record.path.suffix.lower() in _RASTER for record in source.records):
        tell(
            "images that aren't DICOM keep their file names "
            "(--hash-names, if those identify patients)"
        )
