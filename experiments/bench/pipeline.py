"""Batches streamed from a prepared dataset's files, as training takes them.

Against torch's DataLoader with Pillow on the same files, whose batches are turned to floats too.
Real films, prepared by `prep`, stand in the dataset many times, as links. Nothing is kept in the
process's memory; both sides start anew in each repeat, and so does the pixel cache. Memory is of a
process that streams a part of many rows: all that is resident (the most at any time), and how much
of it is anonymous at the middle and at the end.
"""

import csv
import json
import os
import shutil
import sys
import time
from itertools import islice
from pathlib import Path
from typing import ClassVar

from experiments.bench.shared.stand import PEERS

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

MODULE = "experiments.bench.pipeline"
AGAINST = "torch's DataLoader and Pillow"


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"rows": 16, "many": 64, "seen": 32, "side": 32, "batch": 4}
    peers: ClassVar[bool] = True

    rows: int = option(4000, "Of the dataset whose epochs are timed.", ge=2)
    many: int = option(200_000, "Of the dataset that is streamed in flat memory.", ge=2)
    seen: int = option(20_000, "How many of these are streamed.", ge=2)
    side: int = option(512, "Of the images, prepared and in training.", ge=32)
    batch: int = option(16, "Images per batch.", ge=1)
    workers: int = option(2, "Of the DataLoader.", ge=1)

    def measure(self, stand):
        """The first epoch, the second, and one of many rows."""
        images = _prepared(stand, self.side)
        few = _linked(images, stand.scratch / "few", self.rows, self.side)
        cache = stand.scratch / "cache"
        seconds: list[float] = []

        def ours(folder, epochs, seen):
            shutil.rmtree(cache, ignore_errors=True)
            where = cache if epochs > 1 else "off"
            words = ["stream", folder, where, self.side, self.batch, epochs, seen]
            return stand.run("-m", MODULE, *words)

        def first():
            rates = ours(few, 2, self.rows).answer["rates"]
            seconds.append(rates[1])
            return rates[0]

        def peer(folder, seen):
            program = PEERS / "torch_pipeline.py"
            words = [program, folder / "images", self.batch, self.workers, seen]
            return stand.worker(*words, peer=True)

        what = f"{self.rows:,} images of {self.side} px, batches of {self.batch}"
        with peer(few, self.rows) as theirs:
            found = stand.in_turn(ours=first, peer=theirs)
        its = {"unit": "images/s", "peer": found["peer"], "against": AGAINST}
        yield Row(f"{what}, first epoch", ours=found["ours"], **its, at_least=1.5)
        yield Row(f"{what}, later epochs", ours=seconds, **its, at_least=5.0)

        lots = _linked(images, stand.scratch / "many", self.many, self.side)
        runs = []
        with peer(lots, self.seen) as theirs:

            def streamed():
                runs.append(ours(lots, 1, self.seen))
                return runs[-1].answer["rates"][0]

            found = stand.in_turn(ours=streamed, peer=theirs)
        what = f"{self.seen:,} of {self.many:,} rows, without a cache"
        its = {"unit": "images/s", "peer": found["peer"], "against": AGAINST}
        yield Row(what, ours=found["ours"], **its, at_least=1.5)
        last = runs[-1].answer["anonymous"]
        note = (
            f"Anonymous memory of the last: {last[0]:,.0f} MB halfway, {last[1]:,.0f} at the end."
        )
        peaks = [run.peak_mb for run in runs]
        yield Row(f"{what}: memory", "MB", peaks, at_most=3000, note=note)


def _prepared(stand, side: int) -> list[Path]:
    """Images that `prep` made of real films."""
    from data_prep.dataset.prepare import prepare
    from data_prep.readers.shared.records import Record, Source

    if stand.small:
        from data_prep.phantom import write_phantoms

        folder = write_phantoms(stand.scratch / "raw", patients=3, seed=0, size=64, workers=0)
        films = sorted((folder / "dicom").glob("*.dcm"))
    else:
        films = sorted(stand.real("nih_originals").glob("*.png"))
    films = [Record(film, film.name, ("1",), patient=film.name) for film in films]
    out = stand.scratch / "prepared"
    prepare(Source("films", ("A",), films, []), out, size=side, key=bytes(32), progress=False)
    return sorted((out / "images").glob("*.png"))


def _linked(images: list[Path], folder: Path, rows: int, side: int) -> Path:
    """A prepared dataset of links to the images, each many times."""
    (folder / "images").mkdir(parents=True)
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "patient", "sha256", "prepared", "signature", "A"])
        for row in range(rows):
            name = f"images/{row:07d}.png"
            os.link(images[row % len(images)], folder / name)
            table.writerow([name, f"p{row}", *[f"{row:064x}"] * 3, row % 2])
    facts = {"format": 1, "name": folder.name, "labels": ["A"], "image_size": side}
    (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def stream(
    folder: str, cache: str, side: str, batch: str, epochs: str, seen: str
) -> dict[str, list[float]]:
    """Images per second of each epoch, and anonymous memory in MB, halfway and at the end."""
    from cxrkeras import runtime

    runtime.start()
    import numpy as np

    from cxrkeras.data import images as decoding
    from cxrkeras.data.dataset import load_dataset
    from cxrkeras.data.labels.targets import Targets
    from cxrkeras.data.pipeline import Part as Rows
    from cxrkeras.data.pipeline import labelled_batches
    from cxrkeras.runs.experiment import Experiment
    from cxrkeras.training.images import open_images

    decoding.RAM_LIMIT = 0
    dataset = load_dataset(Path(folder))
    images = open_images(Experiment(pixel_cache=cache), dataset, int(side), ())
    targets = Targets(dataset.codes)
    part = Rows("target", images, np.arange(len(dataset)), targets)
    steps = -(-min(int(seen), len(dataset)) // int(batch))
    rates, memory = [], []
    start = time.perf_counter()
    batches = iter(labelled_batches([part], int(batch), shuffle=0, epochs=range(int(epochs))))
    for _ in range(int(epochs)):
        for half in (steps // 2, steps - steps // 2):
            for _ in islice(batches, half):
                pass
            memory.append(_anonymous())
        rates.append(steps * int(batch) / (time.perf_counter() - start))
        start = time.perf_counter()
    return {"rates": rates, "anonymous": memory[-2:]}


def _anonymous() -> float:
    """MB of this process's memory that no file stands behind (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "RssAnon" in line)


if __name__ == "__main__":
    print(json.dumps(stream(*sys.argv[2:])))
