"""A finished dataset whose command is given again: damaged and missing images are restored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data_prep.dataset.journal import Journal, differing
from data_prep.dataset.pool import spread
from data_prep.dataset.prepared import read_prepared
from data_prep.dataset.worker import Result
from data_prep.errors import RejectedFile, UserError
from data_prep.films.film import pixel_digest
from data_prep.progress import Steps

_FEW = 100  # fewer images are read sooner here than in new processes
_TABLES = ("manifest.csv", "rejected.csv", "duplicates.csv")

_OTHERWISE = (
    "of the same files, with other labels or other columns of the table, or with another --name, "
    "--findings, --citation, --hash-names, --no-near or --keep-patients"
)


@dataclass(frozen=True)
class Call:
    """What a preparation is asked for, in keyed hashes.

    Attributes:
        made: how images and pseudonyms are made.
        request: a fingerprint of everything that decides the dataset, but for the files' content.
        files: file -> its content's state, the identity that `Journal` knows it by.
    """

    made: dict
    request: str
    files: dict[str, str]

    def finished(self, images: dict[str, tuple[str, int, str]], outcomes: dict[str, str]) -> dict:
        """What `done.json` holds.

        Args:
            images: by the journal's identity: the prepared image, its bytes and its pixels' digest.
            outcomes: likewise, of the files without an image: `outcome`.
        """
        by_file = {file: images[id_] for file, id_ in self.files.items() if id_ in images}
        left = {file: outcomes[id_] for file, id_ in self.files.items() if id_ not in images}
        return {
            "made": self.made,
            "request": self.request,
            "files": self.files,
            "images": by_file,
            "left": left,
        }


def outcome(result: Result) -> str:
    """What became of a file: its prepared pixels' digest, or why it was refused."""
    return result.reason or result.prepared


def mend(
    journal: Journal,
    call: Call,
    make: Callable[[set[str]], Iterable[Result]],
    *,
    verify: bool,
    workers: int,
    shown: bool,
) -> int:
    """Restore missing or damaged images of a finished dataset, with the same pixels.

    Args:
        journal: the dataset's.
        call: what is asked for now.
        make: prepares the files of these identities into the journal.
        verify: read every image; otherwise a missing one and a changed size are noticed.
        workers: processes that read them.
        shown: show how far it is.

    Returns:
        How many images were made again.

    Raises:
        UserError: the dataset is another call's, or a raw file that is needed is gone or has
            changed.
    """
    done = journal.done() or {}
    made = done.get("made", {})
    if made.get("format") != call.made["format"]:
        raise _other(journal, "of an earlier version")
    if made != call.made:
        raise _other(journal, f"with different settings: {differing(made, call.made)}")
    if missing := [name for name in _TABLES if not (journal.out / name).is_file()]:
        raise UserError(
            f"{journal.out} has lost {missing[0]}. Remove that folder, and run the command again."
        )
    broken = _broken(journal.out, done["images"], verify, workers, shown)
    mended = _make_again(journal, call, done, broken, make)
    if mended < len(broken):
        raise UserError(
            f"{len(broken) - mended} of {len(done['images'])} prepared images of {journal.out} "
            "are damaged or missing, and the raw files needed to restore them are gone, damaged "
            "or changed. Put those files back and run the same command, or remove the folder and "
            "prepare what is left."
        )
    held, asked = done["files"].keys(), call.files.keys()
    if gone := len(held - asked):
        raise _other(journal, f"of other files: {gone} of its {len(held)} aren't asked for")
    if new := len(asked - held):
        raise _other(journal, f"without {new} of the {len(asked)} files")
    if done["request"] != call.request:
        raise _other(journal, _OTHERWISE)
    if not _same_content(journal, call, done, make, shown):
        raise _other(journal, "of other pictures: raw files have changed since")
    return mended


def is_whole(out: Path) -> bool:
    """Whether a dataset is finished and no image of it is missing or has another size."""
    if not (out / "dataset.json").exists():
        return False
    done = Journal(out).done() or {}
    return "images" in done and not _broken(out, done["images"], False, 0, False)


def _other(journal: Journal, how: str) -> UserError:
    return UserError(
        f"{journal.out} holds a finished dataset {how}. Give another --out, or remove that folder."
    )


def _broken(
    out: Path, images: dict[str, list], verify: bool, workers: int, shown: bool
) -> list[str]:
    """The files whose images aren't as they were written."""
    if not verify:
        return [file for file, image in images.items() if not _has_size(out, image)]
    items = ((file, *image) for file, image in images.items())
    workers = workers if len(images) > _FEW else 0
    broken = []
    with Steps(f"{out.name}: verified", len(images), shown=shown) as steps:
        for item, whole in spread(partial(_is_whole, out), items, workers):
            if whole is not True:
                broken.append(item[0])
            steps.step()
    return broken


def _has_size(out: Path, image: list) -> bool:
    name, size, _ = image
    path = out / name
    return path.is_file() and path.stat().st_size == size


def _is_whole(out: Path, item: tuple[str, str, int, str]) -> bool:
    _, *image = item
    name, _, digest = image
    try:
        return _has_size(out, image) and pixel_digest(read_prepared(out / name)) == digest
    except RejectedFile:
        return False


def _make_again(journal: Journal, call: Call, done: dict, broken: list[str], make: Callable) -> int:
    wanted = {call.files[file]: file for file in broken if file in call.files}
    mended = 0
    for result in make(set(wanted)) if wanted else ():
        name, _, digest = done["images"][wanted[result.id]]
        if result.reason is None and result.prepared == digest:
            (journal.out / name).parent.mkdir(exist_ok=True)
            journal.image(result.id).replace(journal.out / name)
            # A file that was put back may bear another time: it is what it was.
            done["files"][wanted[result.id]] = result.id
            done["images"][wanted[result.id]] = [name, result.bytes, digest]
            mended += 1
    if mended:
        journal.note_done(done)
    return mended


def _same_content(journal: Journal, call: Call, done: dict, make: Callable, shown: bool) -> bool:
    """Whether the raw files that bear another time, as unpacked anew, give what they gave."""
    other = {id_: file for file, id_ in call.files.items() if done["files"][file] != id_}
    if not other:
        return True
    gave = {file: digest for file, (_, _, digest) in done["images"].items()} | done.get("left", {})
    what = f"{journal.out.name}: comparing files whose time differs"
    with Steps(what, len(other), shown=shown) as steps:
        for result in make(set(other)):
            journal.image(result.id).unlink(missing_ok=True)
            if outcome(result) != gave.get(other[result.id]):
                return False
            steps.step()
    journal.note_done({**done, "files": call.files})
    return True
