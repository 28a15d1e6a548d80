"""`cxrkeras predict` against the loop that a user would write, on the same files with one model.

Run: python experiments/bench/predict.py MODEL [COUNT], with CXRKERAS_REAL_DATA set. MODEL: a model
folder (model.keras, model.json). COUNT files (500) are copies of real ones: 8 DICOM, 24 PNG of 1024
pixels, some RGBA, 68 PNG of 512 pixels, over and over. Each way runs in a process of its own, so
imports and loading the model count; both are also timed on one file. Prints seconds and the ratio.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

NAIVE = """
import sys, json
import numpy as np, keras, pydicom, skimage.io, skimage.transform
model = keras.models.load_model(sys.argv[1], compile=False)
side = model.input_shape[1]
found = {}
for path in sys.argv[2:]:
    if path.endswith(".dcm"):
        pixels = pydicom.dcmread(path).pixel_array.astype(float)
    else:
        pixels = skimage.io.imread(path).astype(float)
    if pixels.ndim == 3:
        pixels = pixels[..., :3].mean(axis=-1)
    pixels = skimage.transform.resize(pixels, (side, side), anti_aliasing=True)
    pixels = 255 * (pixels - pixels.min()) / np.ptp(pixels)
    found[path] = model.predict(pixels[None, ..., None], verbose=0)[0].tolist()
print(json.dumps(found))
"""


def files(folder: Path, count: int) -> list[str]:
    """`count` copies of real files, under names of their own."""
    root = Path(os.environ["CXRKERAS_REAL_DATA"])
    kinds = (("dicom/chest", "*.dcm", 8), ("nih_originals", "*.png", 24))
    kinds = (*kinds, ("nih_target/images", "*.png", 68))
    real = [p for place, name, n in kinds for p in sorted((root / place).glob(name))[:n]]
    paths = []
    for number, path in enumerate(islice(cycle(real), count)):
        paths.append(folder / f"{number:04d}{path.suffix}")
        shutil.copyfile(path, paths[-1])
    return [str(path) for path in paths]


def seconds(command: list[str]) -> float:
    """The wall time of a process."""
    start = time.perf_counter()
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, check=True, stdout=-3, stderr=-3, env=quiet)
    return time.perf_counter() - start


def main(model: str, count: int = 500) -> None:
    """Time both ways on one file, then on `count`."""
    with tempfile.TemporaryDirectory() as scratch:
        paths, out = files(Path(scratch), count), Path(scratch, "out.csv")
        for some in (paths[:1], paths):
            ours = [sys.executable, "-c", "from cxrkeras.cli import main; main()", "predict", model]
            predict = seconds([*ours, *some, "--out", str(out)])
            naive = seconds([sys.executable, "-c", NAIVE, f"{model}/model.keras", *some])
            with out.open(encoding="utf-8", newline="") as file:
                read = sum(not row["error"] for row in csv.DictReader(file))
            print(
                f"{len(some)} files ({read} read): predict {predict:.1f} s "
                f"({len(some) / predict:.1f}/s), naive loop {naive:.1f} s "
                f"({len(some) / naive:.1f}/s): {naive / predict:.2f} times as fast",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
