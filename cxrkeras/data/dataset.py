"""A prepared dataset: the table of its images, their label codes, and what identifies them."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.checked_json import Facts, Labels, Words, read_checked
from cxrkeras.data.inputs import KNOWN, as_numbers, further
from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.preparation import Side, files_of, preparation_of
from data_prep.dataset.prepared import identify
from data_prep.errors import RejectedFile, UserError
from data_prep.say import say
from data_prep.tables.table import read_table
from data_prep.tables.vocabulary import folded

_AGAIN = "Prepare the dataset again."
_HEX = re.compile("[0-9a-f]{64}")
_NORMAL = folded("No Finding")
_IDENTIFIED: dict[tuple, tuple[str, str]] = {}  # images that a manifest doesn't identify, once read


@dataclass(frozen=True)
class PreparedDataset:
    """A folder that `cxrkeras prep` wrote.

    Args:
        root: the folder.
        name: the dataset's name.
        labels: K label names in order.
        images: (N,) paths relative to `root`.
        patients: (N,) patient identity, a keyed hash unless the archive is public.
        codes: (N, K) float32: 1, 0, -1 uncertain, NaN not mentioned.
        digests: (N,) sha256 of the films' decoded pixels, however they were prepared.
        pictures: (N, 2) sha256 of the prepared images, and perceptual hashes of the films; blank
            where an earlier version's manifest lacks them (see `identities`).
        splits: (N,) the archive's own split, e.g. `train` or `test`; blank where it has none.
        image_size: side of the stored square images in pixels.
        rows: (N,) rows of the manifest.
        manifest: 16 hex digits of the images that the whole manifest lists.
        key: identifies the pseudonyms' key; blank where it is unknown.
        merged: {other name of a patient who proved to be the same person: the name in `patients`}.
        told: {age, sex, view, study: (N,) cells of the manifest}, "" where unknown.
        spellings: {finding: its other spellings} of the user's vocabulary in whose words it was
            prepared.
    """

    root: Path
    name: str
    labels: tuple[str, ...]
    images: np.ndarray
    patients: np.ndarray
    codes: np.ndarray
    digests: np.ndarray
    pictures: np.ndarray
    splits: np.ndarray
    image_size: int
    rows: np.ndarray
    manifest: str
    key: str = ""
    merged: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, np.ndarray] = field(default_factory=dict)
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def paths(self) -> list[str]:
        """(N,) absolute paths of the images."""
        return [str(self.root / image) for image in self.images]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the content (labels, codes, patients, prepared pixels).

        The same films prepared differently are different content.
        """
        columns = [self.images.tolist(), self.patients.tolist(), self.identities[:, 0].tolist()]
        if any(self.splits):
            columns.append(self.splits.tolist())
        digest = hashlib.sha256(json.dumps([self.labels, self.image_size, *columns]).encode())
        digest.update(np.ascontiguousarray(self.codes).tobytes())
        return digest.hexdigest()[:16]

    def known(self, inputs: Sequence[str]) -> dict[str, np.ndarray]:
        """{input: (N, 1) float32} of the inputs beside the image; see `data.inputs`."""
        blank = np.full(len(self), "")
        return {name: as_numbers(name, self.told.get(name, blank)) for name in further(inputs)}

    def fingerprint_with(
        self, inputs: Sequence[str], columns: Sequence[str] = (), files: Sequence[str] = ()
    ) -> str:
        """`fingerprint`, with a model's inputs beside the image, other columns of `told`, and files
        of the folder, if they are there.
        """
        known = self.known(inputs)
        beside = [(name, self.root / name) for name in files if (self.root / name).is_file()]
        if not known and not columns and not beside:
            return self.fingerprint
        digest = hashlib.sha256(self.fingerprint.encode())
        for name, values in known.items():
            digest.update(name.encode() + values.tobytes())
        for name in columns:
            cells = self.told[name].tolist() if name in self.told else []
            digest.update(json.dumps([name, cells]).encode())
        for name, path in beside:
            digest.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    @cached_property
    def films(self) -> str:
        """16 hex digits of the films and their names, regardless of labels and preparation."""
        columns = [self.images.tolist(), self.digests.tolist()]
        return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16]

    @cached_property
    def identities(self) -> np.ndarray:
        """(N, 2): `pictures`; what the manifest lacks is computed from the images.

        Raises:
            UserError: images are missing or damaged.
        """
        lacking = np.flatnonzero((self.pictures == "").any(axis=1))
        if not len(lacking):
            return self.pictures
        found = self.pictures.copy()
        found[lacking] = _identified(self.root, self.images[lacking].tolist())
        return found

    def subset(self, keep: np.ndarray) -> "PreparedDataset":
        """The dataset of the images picked by `keep`, a boolean (N,) mask or an index."""
        columns = ("images", "patients", "codes", "digests", "pictures", "splits", "rows")
        picked = {name: getattr(self, name)[keep] for name in columns}
        told = {name: cells[keep] for name, cells in self.told.items()}
        return replace(self, **picked, told=told)

    def with_labels(self, labels: Sequence[str]) -> "PreparedDataset":
        """The dataset with these labels, in order, whatever their spelling there.

        Where No Finding is wanted and no label here, it follows from the others that are wanted: 0
        where one is present, 1 where all are absent, else uncertain.

        Raises:
            UserError: naming the labels that the dataset lacks.
        """
        meaning = Meanings.of([self.spellings])
        places = {folded(meaning(label)): place for place, label in enumerate(self.labels)}
        wanted = [folded(meaning(label)) for label in labels]
        derived = len(wanted) > 1 and _NORMAL in wanted and _NORMAL not in places
        if derived:
            places[_NORMAL] = len(self.labels)
        if missing := [
            label for label, key in zip(labels, wanted, strict=True) if key not in places
        ]:
            raise UserError(
                f"--label-set: the dataset {self.name} has no {', '.join(missing)}, but "
                f"{', '.join(self.labels)}. Choose another label set, or none."
            )
        keep = [places[key] for key in wanted]
        codes = self.codes
        if derived:
            others = codes[:, [place for place in keep if place < len(self.labels)]]
            codes = np.column_stack([codes, _normal(others)])
        return replace(self, labels=tuple(labels), codes=codes[:, keep])


def _normal(codes: np.ndarray) -> np.ndarray:
    """(N,) codes of No Finding, from those (N, K) of all findings."""
    found = np.where((codes == 0).all(axis=1), 1, -1)
    return np.where((codes == 1).any(axis=1), 0, found).astype(np.float32)


def load_dataset(root: Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises:
        UserError: `root` isn't a prepared dataset, or its files contradict each other.
    """
    root = Path(root)
    description, manifest = files_of(root)
    facts = _described(description)
    labels = tuple(facts["labels"])
    table = read_table(manifest)
    missing = [c for c in ("image", "patient", "sha256", *labels) if c not in table.columns]
    if missing:
        raise UserError(f"{manifest} lacks the columns {', '.join(missing)}. {_AGAIN}")
    _check_images(table["image"], manifest)
    pictures = _pictures(table)
    return PreparedDataset(
        root=root,
        name=facts["name"],
        labels=labels,
        images=table["image"].to_numpy(str),
        patients=table["patient"].to_numpy(str),
        codes=_codes(table, labels, manifest),
        digests=table["sha256"].to_numpy(str),
        pictures=pictures,
        splits=table.get("split", pd.Series([""] * len(table))).to_numpy(str),
        image_size=facts["image_size"],
        rows=np.arange(len(table)),
        manifest=_identity(table, pictures),
        key=facts.get("key", ""),
        merged=facts.get("merged_patients", {}),
        told={name: table[name].to_numpy(str) for name in (*KNOWN, "study") if name in table},
        spellings=facts.get("findings", {}),
    )


def open_dataset(root: Path, labels: Sequence[str] | None = None) -> PreparedDataset:
    """Read a prepared dataset with the wanted labels, or all; errors as in both parts."""
    dataset = load_dataset(root)
    return dataset if labels is None else dataset.with_labels(labels)


def read_labels(root: Path) -> tuple[str, ...]:
    """Read a prepared dataset's labels without its table; errors as in `load_dataset`."""
    return tuple(_described(files_of(Path(root))[0])["labels"])


class _Described(Facts):
    name: Words
    labels: Labels
    image_size: Side
    key: Words = ""
    merged_patients: dict[str, Words] = {}  # noqa: RUF012  (pydantic copies it)
    findings: dict[str, tuple[Words, ...]] = {}  # noqa: RUF012


def _described(description: Path) -> dict:
    return read_checked(description, _Described, _AGAIN)


def mending(image: Path) -> str:
    """What to do about a damaged or missing prepared image, as a sentence."""
    folder = image.parent.parent.parent
    if (folder / "phantom.json").is_file():
        return f"Run `cxrkeras prep phantom --out {folder} --verify` to make it again."
    return (
        "Run the dataset's `cxrkeras prep` command again with --verify to make damaged and "
        "missing images again."
    )


def _pictures(table: pd.DataFrame) -> np.ndarray:
    found = np.full((len(table), 2), "", dtype="<U64")
    for place, column in enumerate(("prepared", "signature")):
        if column in table:
            found[:, place] = table[column].where(table[column].str.fullmatch(_HEX), "")
    return found


def _identity(table: pd.DataFrame, pictures: np.ndarray) -> str:
    columns = table["image"].tolist(), table["sha256"].tolist(), pictures[:, 0].tolist()
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16]


def _identified(root: Path, images: list[str]) -> list[tuple[str, str]]:
    """The digest and signature of images; a process reads each once while it stays the same."""
    states = [_state(root / image) for image in images]
    unread = [state for state in states if state not in _IDENTIFIED]
    if unread:
        say(
            f"{root}: prepared by an earlier version, so {len(unread)} images are read to "
            "identify them. Prepare the dataset anew to save that time."
        )
    made = preparation_of(root)
    for state in unread:
        try:
            _IDENTIFIED[state] = identify(state[0], padded=made is not None and made.pad)
        except RejectedFile as refusal:
            raise UserError(
                f"A prepared image is {refusal}: {state[0]}. {mending(state[0])}"
            ) from None
    return [_IDENTIFIED[state] for state in states]


def _state(path: Path) -> tuple:
    try:
        facts = path.stat()
    except OSError:
        return path, None
    return path, facts.st_size, facts.st_mtime_ns


def _check_images(images: pd.Series, manifest: Path) -> None:
    if images.empty:
        raise UserError(f"{manifest} lists no images. {_AGAIN}")
    if images.duplicated().any():
        raise UserError(
            f"{manifest} lists {images[images.duplicated()].iloc[0]} more than once. {_AGAIN}"
        )
    outside = images.str.fullmatch(r"|/.*|(?:.*/)?\.\.(?:/.*)?", flags=re.DOTALL)
    if outside.any():
        raise UserError(
            "Images must lie inside their dataset's folder. Received: "
            f"{images[outside].iloc[0]!r} in {manifest}. {_AGAIN}"
        )


def _codes(table: pd.DataFrame, labels: tuple[str, ...], manifest: Path) -> np.ndarray:
    meanings = {"1": 1.0, "0": 0.0, "-1": -1.0, "": np.nan}
    text = table[list(labels)]
    unknown = ~text.isin(list(meanings))
    if unknown.to_numpy().any():
        column = unknown.any().idxmax()
        row = int(unknown[column].idxmax())
        raise UserError(
            f"Label codes are 1, 0, -1 and blank. Received: {text.loc[row, column]!r} in column "
            f"{column!r}, row {row + 2} of {manifest}. {_AGAIN}"
        )
    return text.apply(lambda column: column.map(meanings)).to_numpy(np.float32)
