"""The target's images in a source: what a fold holds out must not have been seen before.

They are recognised by the film itself, by its patient, and, if re-encoded or prepared differently,
by what they look like.
"""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cxrkeras.data.dataset import PreparedDataset, mending
from cxrkeras.data.preparation import Preparation, preparation_of
from cxrkeras.runs.sources import Dataset
from cxrkeras.training.stages.cache import cache_folder
from data_prep.dataset.copies.duplicates import copies_between
from data_prep.dataset.copies.signatures import HASH_LIMIT
from data_prep.dataset.copies.similarity import SAME_FILM
from data_prep.dataset.pool import cores, spread
from data_prep.dataset.prepared import read_prepared
from data_prep.dataset.worker import same_film
from data_prep.errors import RejectedFile, UserError
from data_prep.files import atomic_write_json
from data_prep.say import say

_FORMAT = 1  # raise it when a change invalidates copies found earlier
_FEW_PAIRS = 100  # fewer are confirmed faster here than in new processes


class Overlap(NamedTuple):
    """Which images of a source may not be learnt from, (N,) bool each.

    Args:
        same: the target's images.
        copies: copies of them.
        seen: these, and all other images of their patients.
    """

    same: np.ndarray
    copies: np.ndarray
    seen: np.ndarray

    def counts(self) -> dict[str, int]:
        """How many are left out, by the reason."""
        counts = {"target": int(self.same.sum()), "copies": int(self.copies.sum())}
        return counts | {"patients": int(self.seen.sum()) - sum(counts.values())}


def without_target(
    source: PreparedDataset, link: Dataset, target: PreparedDataset
) -> PreparedDataset:
    """A source without the target's images, copies of them, and other images of their patients.

    Arguments and errors as for `overlap_with`.
    """
    return source.subset(~overlap_with(source, link, target).seen)


def overlap_with(source: PreparedDataset, link: Dataset, target: PreparedDataset) -> Overlap:
    """The target's images in a source, copies of them, and other images of their patients.

    Args:
        source: the dataset.
        link: the run's name for it.
        target: all images of the target.

    Raises:
        UserError: no image is left, or a prepared image that must be compared can't be read.
    """
    found = overlap_between(source, target)
    seen = found.seen
    if seen.any():
        say(
            f"source {link.name}: {int(seen.sum())} of {len(source)} images are left out: "
            f"{int(found.same.sum())} are the target's, {int(found.copies.sum())} are copies of "
            "them, and the others are of the same patients"
        )
    if seen.all():
        raise UserError(
            "A source needs images that aren't in the target too. Received: "
            f"{link.name}={link.folder}, of which none is left. Give another --source. If "
            "patients of two hospitals share a number, prepare one of the datasets with another "
            "--key-file."
        )
    for doubt in doubts_between(source, target):
        say(f"Warning: source {link.name}: {doubt}")
    return found


def overlap_between(source: PreparedDataset, target: PreparedDataset) -> Overlap:
    """As `overlap_with`, for any two datasets, without a word."""
    same = (source.digests != "") & np.isin(source.digests, target.digests)
    known = source.patients != ""
    of_patient = known & np.isin(source.patients, _target_patients(source, target))
    copies = _copies(source, target, ~same & ~of_patient)
    # Under another key, a copy's patient is a target's patient under another name.
    patients = source.patients[(same | copies) & known]
    seen = same | copies | of_patient | (known & np.isin(source.patients, patients))
    return Overlap(same, copies, seen)


def _target_patients(source: PreparedDataset, target: PreparedDataset) -> list[str]:
    """The target's patients by the source's names: either dataset may have merged patients."""
    here = set(target.patients.tolist())
    here |= {name for name, kept in target.merged.items() if kept in here}
    return sorted(here | {source.merged[name] for name in here & source.merged.keys()})


def doubts_between(source: PreparedDataset, target: PreparedDataset) -> list[str]:
    """Why images of the target, or of its patients, may remain in a source."""
    doubts = []
    for dataset, whose in ((source, "its"), (target, "the target's")):
        if unknown := int((dataset.patients == "").sum()):
            doubts.append(
                f"the patients of {unknown} of {whose} {len(dataset)} images are unknown, so "
                "other films of the target's patients may remain in it; only copies are found"
            )
    if source.key and target.key and source.key != target.key:
        doubts.append(
            "its patients were hashed with another key than the target's (--key-file, --public), "
            "so they can't be matched: other films of the target's patients may remain in it; "
            "only copies are found"
        )
    ways = [preparation_of(dataset.root) or Preparation() for dataset in (source, target)]
    names = ("pad", "stretch")
    differ = [f"--{name}" for name in names if getattr(ways[0], name) != getattr(ways[1], name)]
    if differ:
        doubts.append(
            f"prepared differently from the target ({', '.join(differ)}): copies of its images "
            "are harder to find, and the model sees different pictures"
        )
    return doubts


def _copies(source: PreparedDataset, target: PreparedDataset, rows: np.ndarray) -> np.ndarray:
    """(N,) bool: which of some rows of a source look like an image of the target.

    The findings are cached for later runs, under everything on which they depend.
    """
    places = np.flatnonzero(rows)
    pads = tuple(bool(p and p.pad) for p in map(preparation_of, (target.root, source.root)))
    identities = [target.identities.tolist(), source.identities[places].tolist()]
    about = json.dumps([_FORMAT, HASH_LIMIT, SAME_FILM, pads, *identities])
    path = cache_folder() / "copies" / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"
    found = _kept(path)
    if found is None:
        files = [Path(file) for file in target.paths], [Path(source.paths[n]) for n in places]
        signatures = target.identities[:, 1].tolist(), source.identities[places, 1].tolist()
        found = copies_between(*signatures, partial(_confirmed, *files, pads))
        atomic_write_json(path, found)
    copies = np.zeros(len(source), bool)
    copies[places[np.array(found, int)]] = True
    return copies


def _kept(path: Path) -> list[int] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _confirmed(
    target: list[Path],
    source: list[Path],
    pads: tuple[bool, bool],
    pairs: list[tuple[int, int]],
) -> list[bool]:
    """Whether pairs of files, by their positions in two lists, each show one film."""
    files = [(target[first], source[second]) for first, second in pairs]
    workers = cores() if len(files) > _FEW_PAIRS else 0
    # Images prepared alike have the same padding, which stays.
    compare = partial(same_film, padded=pads if pads[0] != pads[1] else (False, False))
    try:
        answers = dict(spread(compare, files, workers))
    except RejectedFile as refusal:
        broken = next(path for pair in files for path in pair if not _readable(path))
        raise UserError(f"A prepared image is {refusal}: {broken}. {mending(broken)}") from None
    return [answers[pair] is True for pair in files]


def _readable(path: Path) -> bool:
    try:
        read_prepared(path)
    except RejectedFile:
        return False
    return True
