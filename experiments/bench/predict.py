"""`cxrkeras predict`, imports and loading included.

Against the model's own forward pass over the same images, prepared, in memory and in the same
batches, its graph traced already; and against the loop that a user would write with Keras, pydicom
and scikit-image, `load_model`, then `model.predict` film by film. The files are copies of real
ones: 8 % DICOM, 24 % PNG of 1024 pixels, some RGBA, 68 % PNG of 512 pixels. A network without
training costs the same as a trained one.

Where the model keeps all cores busy, decoding adds to its time, since it needs processor time too;
starting takes one core. Both cost the same at any size of the model's images.
"""

import shutil
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import ClassVar

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

KINDS = (
    ("dicom/chest", "*.dcm", 8),
    ("nih_originals", "*.png", 24),
    ("nih_target/images", "*.png", 68),
)
MODULE = "experiments.bench.predict"


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"files": 3, "sides": "32 64", "backbone": "mobilenet_v2"}

    files: int = option(500, "Files of the large job.", ge=2)
    sides: str = option("224 512", "Of the images that the model sees; the loop runs at the first.")
    backbone: str = option("densenet121", "Backbone.")

    def measure(self, stand):
        """Many files against the forward pass and the loop; one file against the loop."""
        paths = self._copies(stand)
        side, *larger = self.sides.split()
        model, what = self._model(stand, side)
        loop = "a loop over the films with Keras, pydicom, scikit-image"
        ours = self._predict(stand, model, paths[:1])
        one = stand.in_turn(ours=ours, peer=self._loop(stand, model, paths[:1]))
        yield Row(f"one film, {what}", "s", **one, against=loop, at_most=0.7)
        many = self._many(stand, model, paths, loop=self._loop(stand, model, paths))
        what = f"{len(paths)} films, {what}"
        yield self._against_forward(what, many)
        more = [all_ - first for all_, first in zip(many["ours"], one["ours"], strict=True)]
        beyond = f"{what}, without the time of the first"
        yield self._against_forward(beyond, many | {"ours": more})
        yield Row(what, "s", many["ours"], many["loop"], against=loop)
        for side in larger:
            model, what = self._model(stand, side)
            many = self._many(stand, model, paths)
            yield self._against_forward(f"{len(paths)} films, {what}", many)

    def _model(self, stand, side: str) -> tuple[Path, str]:
        """A model folder, and the model in words."""
        model = stand.scratch / f"model{side}"
        stand.run("-m", MODULE, "save", model, self.backbone, side)
        return model, f"{self.backbone} at {side} px"

    def _predict(self, stand, model: Path, films: list[Path]):
        code = "from cxrkeras.cli import main; main()"
        words = ["predict", model, *films, "--out", stand.scratch / "out.csv", "--overwrite"]
        return lambda: stand.run("-c", code, *words).seconds

    def _loop(self, stand, model: Path, films: list[Path]):
        return lambda: stand.run("-m", MODULE, "loop", model, *films).seconds

    def _many(self, stand, model: Path, paths: list[Path], **others) -> dict[str, list[float]]:
        """All films: ours, the model's forward pass, and others, in turn."""
        with stand.worker("-m", MODULE, "forward", model, *paths) as forward:
            ours = self._predict(stand, model, paths)
            return stand.in_turn(ours=ours, forward=forward, **others)

    def _against_forward(self, what: str, many: dict[str, list[float]]) -> Row:
        its = "the model's own forward pass"
        return Row(what, "s", many["ours"], many["forward"], against=its, at_most=1.15)

    def _copies(self, stand) -> list[Path]:
        """The films, under names of their own."""
        if stand.small:
            from data_prep.phantom import write_phantoms

            folder = write_phantoms(stand.scratch / "raw", patients=2, seed=0, size=64, workers=0)
            real = sorted((folder / "dicom").glob("*.dcm"))
        else:
            real = [
                path
                for place, name, count in KINDS
                for path in sorted(stand.real(place).glob(name))[:count]
            ]
        folder = stand.scratch / "films"
        folder.mkdir()
        paths = []
        for number, path in enumerate(islice(cycle(real), self.files)):
            paths.append(folder / f"{number:04d}{path.suffix}")
            shutil.copyfile(path, paths[-1])
        return paths


def _loop(model: str, *paths: str) -> None:
    """What a user would write."""
    import keras
    import numpy as np
    import pydicom
    import skimage.io
    import skimage.transform

    network = keras.models.load_model(f"{model}/model.keras", compile=False)
    side = network.input_shape[1]
    found = {}
    for path in paths:
        if path.endswith(".dcm"):
            pixels = pydicom.dcmread(path).pixel_array.astype(float)
        else:
            pixels = skimage.io.imread(path).astype(float)
        if pixels.ndim == 3:
            pixels = pixels[..., :3].mean(axis=-1)
        pixels = skimage.transform.resize(pixels, (side, side), anti_aliasing=True)
        pixels = 255 * (pixels - pixels.min()) / np.ptp(pixels)
        found[path] = network.predict(pixels[None, ..., None], verbose=0)[0].tolist()
    print(len(found))


def _forward(folder: str, *paths: str) -> None:
    """Answer with the seconds that the model takes over the films' images."""
    from answers import answers

    from cxrkeras import runtime
    from cxrkeras.serving.predict.films import FilmStream
    from cxrkeras.serving.predict.run import BATCH
    from cxrkeras.serving.predictor.read import read_card

    runtime.start()
    from cxrkeras.serving.predictor.loaded import load_card

    model = load_card(read_card(Path(folder)))
    import numpy as np

    films = list(map(Path, paths))
    with FilmStream(films, model.preparation, model.image_size) as stream:
        images = np.stack([film.image for film in stream])

    def seconds() -> float:
        start = time.perf_counter()
        model.predict(images, BATCH)
        return time.perf_counter() - start

    seconds()  # traces
    answers(seconds)


def _save(folder: str, backbone: str, side: str) -> None:
    from experiments.bench.shared.networks import save_model

    save_model(Path(folder), backbone, int(side))


if __name__ == "__main__":
    {"save": _save, "loop": _loop, "forward": _forward}[sys.argv[1]](*sys.argv[2:])
