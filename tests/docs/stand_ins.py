"""Tiny data under the names that the pages use, made when a command first asks for one.

`data/…` is a prepared dataset, `runs/…` a run of it, `models/…` a model trained from one, and so
on: a name that a page has made itself is left alone. ImageNet's weights are random ones in a file.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxrkeras.cli import main
from cxrkeras.registry import READERS
from cxrkeras.runs.presets import preset_names
from data_prep.phantom.write import write_phantoms
from tests.conftest import ROOT
from tests.docs.commands import Command, parsed

TINY = "tiny"  # a second to trace; in this process alone
SMALLEST = "mobilenet_v3_small"
# The last one given counts. An option is added only where a verb has it.
SMALL = {"folds": 2, "epochs": 1, "source_epochs": 1, "batch_size": 8, "workers": 0}
SMALL |= {"patients": 8, "source_patients": 3}
SIDES = {TINY: 48, SMALLEST: 32}
SIDE = 75  # no backbone needs more
SIDE_PREPARED = 64
_OUT = ("--out", "--plot")
_LABELS = ["Cardiomegaly", "Effusion", "Nodule", "Pneumothorax"]
_COLUMNS = ["image", "patient", "sex", *_LABELS]


def call(words: list[str]) -> int:
    """The exit code of a command in this process."""
    try:
        main(list(map(str, words)))
    except SystemExit as end:
        return end.code or 0
    return 0


class Workspace:
    """A folder in which the commands of a page run one after another."""

    def __init__(self, shelf: Path):
        """`shelf` keeps what is made once for all pages."""
        self.shelf = shelf

    def run(self, command: Command) -> int:
        """Run it, cheaply, with everything it reads in its place; give its exit code."""
        if not command.environment:
            return call(self.cheap(command.words))
        words = self.cheap(command.words, SMALLEST)
        driver = [sys.executable, "-c", "from cxrkeras.cli import main; main()"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **command.environment}
        done = subprocess.run([*driver, *words], env=environment, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        return done.returncode

    def cheap(self, words: tuple[str, ...], backbone: str = TINY) -> list[str]:
        """The command on stand-ins, with options that make it quick."""
        words = list(words)
        self._provide(words)
        context = parsed(words)
        if context is None:
            return words
        known = {option.name for option in context.command.params}
        asked = context.params
        if "source" in known and context.info_name != "summary":
            words += self._trunk(words, asked, backbone)
        words += [
            word
            for name, value in SMALL.items()
            if name in known and not (name == "folds" and asked.get("folds_file"))
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        if context.parent.info_name == "prep" and "image_size" in known:
            words += ["--image-size", str(SIDE_PREPARED)]
        return words

    def _trunk(self, words: list[str], asked: dict, backbone: str) -> list[str]:
        """Options that take this trunk unless one is named, and weights that are at hand."""
        backbones = list(asked["backbone"]) or [backbone]
        more = [] if asked["backbone"] else ["--backbone", backbone]
        more += ["--image-size", str(max(SIDES.get(name, SIDE) for name in backbones))]
        weights = self._take(f"{backbones[0]}.keras", lambda to: _random(backbones[0], to))
        for place, word in enumerate(words):
            if words[place - 1] == "--source":
                words[place] = re.sub(r"^(imagenet|trunk\.keras)\b", str(weights), word)
        preset = asked.get("preset") or asked.get("recipe") in preset_names()
        if not asked["source"] and preset:
            more += ["--source", str(weights)]
        return more

    def _provide(self, words: list[str]) -> None:
        for place, word in enumerate(words):
            if words[place - 1] in _OUT:
                continue
            for piece in re.split(r"[,=:]", word):
                if not Path(piece).exists():
                    self._make(piece)

    def _make(self, name: str) -> None:
        for pattern, make in MAKERS.items():
            if found := re.fullmatch(pattern, name):
                to = Path(found[1] if found.groups() else name)
                kept = self._take(str(to).replace("/", "-"), lambda place, m=make: m(self, place))
                to.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if kept.is_dir() else shutil.copy)(kept, to)
                return

    def _take(self, name: str, make: Callable[[Path], object]) -> Path:
        place = self.shelf / name
        if not place.exists():
            make(place)
        return place


def _raw(space: Workspace) -> Path:
    def draw(place: Path) -> None:
        made = write_phantoms(
            place, patients=16, seed=3, size=SIDE_PREPARED, workers=0, progress=False
        )
        table = pd.read_csv(made / "labels.csv", dtype=str)
        table["study"] = table["patient"] + "-1"  # else each film is a study of its own
        table[[*_COLUMNS, "study"]].to_csv(place / "labels.csv", index=False)
        shutil.move(made / "dicom", place / "films")

    return space._take("raw", draw)


def _table(space: Workspace, to: Path) -> None:
    shutil.copy(_raw(space) / "labels.csv", to)


def _films(space: Workspace, to: Path) -> None:
    shutil.copytree(_raw(space) / "films", to)


def _film(space: Workspace, to: Path) -> None:
    shutil.copy(min((_raw(space) / "films").iterdir()), to)


def _studies(space: Workspace, to: Path) -> None:
    table = pd.read_csv(_raw(space) / "labels.csv", dtype=str)
    table[["image", "study"]].to_csv(to, index=False)


def _predictions(space: Workspace, to: Path) -> None:
    """By the films' names, and by what the prepared dataset calls them."""
    table = pd.read_csv(_raw(space) / "labels.csv", dtype=str)
    data = space._take("data-ours", lambda at: _dataset(space, at))
    manifest = pd.read_csv(data / "manifest.csv", dtype=str)
    scores = pd.DataFrame({"image": table["image"], "file": manifest["source_id"]})
    for number, label in enumerate(_LABELS):
        scores[f"prob_{label}"] = [(7 * row + number) % 10 / 10 for row in range(len(scores))]
    scores.dropna().to_csv(to, index=False)


def _answers(space: Workspace, to: Path) -> None:
    run, films = space._take("runs-first", lambda at: _run(space, at)), _raw(space) / "films"
    assert not call(["predict", run, films, "--workers", 0, "--out", to])


def _dataset(space: Workspace, to: Path) -> None:
    raw, size = _raw(space), ["--image-size", SIDE_PREPARED, "--workers", 0]
    words = ["prep", "table", "--images", raw / "films", "--labels", raw / "labels.csv"]
    assert not call([*words, "--out", to, *size])


def _source(space: Workspace, to: Path) -> None:
    """Films of other patients, with the target's labels."""
    made = write_phantoms(
        to.with_name(f"{to.name}-raw"), patients=8, seed=len(to.name), size=SIDE_PREPARED,
        hospital="a", workers=0, progress=False,
    )  # fmt: skip
    words = ["prep", "table", "--images", made / "dicom", "--labels", made / "labels.csv"]
    assert not call([*words, "--out", to, "--image-size", SIDE_PREPARED, "--workers", 0])


def _run(space: Workspace, to: Path) -> None:
    data = space._take("data-ours", lambda at: _dataset(space, at))
    words = ["cv", "--data", data, "--backbone", TINY, "--recipe", "frozen", "--random-trunk"]
    small = ["--image-size", SIDES[TINY], "--folds", 2, "--epochs", 1, "--seed", len(to.name)]
    assert not call([*words, *small, "--out", to])


def _model(space: Workspace, to: Path) -> None:
    run = space._take("runs-first", lambda at: _run(space, at))
    assert not call(["train", "--run", run, "--out", to])


def _random(backbone: str, to: Path) -> None:
    import cxrkeras

    side = SIDES.get(backbone, SIDE)
    cxrkeras.build(backbone, labels=2, image_size=side).save(to)


def _archive(name: str) -> Callable[[Workspace, Path], None]:
    def write(space: Workspace, to: Path) -> None:
        folder = to.with_name(f"{to.name}-tree")
        folder.mkdir()
        root, _ = READERS.load(name).example(folder)
        shutil.copytree(root, to)

    return write


MAKERS: dict[str, Callable[[Workspace, Path], None]] = {
    r"(?:new-)?films/?": _films,
    r"film\.dcm": _film,
    r"labels\.csv": _table,
    r"studies\.csv": _studies,
    r"preds\.csv": _predictions,
    r"answers\.csv": _answers,
    r"data/ours": _dataset,
    r"data/\w+": _source,
    r"(runs/\w+).*": _run,
    r"(models/\w+).*": _model,
    r"experiments/.+": lambda space, to: shutil.copy(ROOT / to.name.replace("-", "/", 1), to),
    r"ChestXray-NIHCC": _archive("nih"),
    r"CheXpert-v1\.0-small": _archive("chexpert"),
    r"Downloads/archive": _archive("nih"),
}
"""What a name that a page uses stands for; of a pattern's group the folder is made."""
