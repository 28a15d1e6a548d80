"""The images of a training, with the pixel cache that the experiment asks for."""

from collections.abc import Sequence
from pathlib import Path

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.images import DECODER, Images, fit_in_memory
from cxrkeras.data.pixels import PixelCache, open_pixels
from cxrkeras.runs.experiment import Experiment
from cxrkeras.training.stages.cache import PIXELS, cache_folder

_SHARES = {"auto": 0.5, "DIR": 0.95}
"""Of the free space, that a pixel cache may take: what nobody asked for takes less."""


def open_images(
    experiment: Experiment, dataset: PreparedDataset, size: int, inputs: Sequence[str]
) -> Images:
    """The images of a dataset at the side S = `size`, with the inputs that a model takes.

    With `pixel_cache` auto they are kept on disk only if they don't fit in memory.

    Raises:
        UserError: images are missing or damaged.
    """
    return Images.of(dataset, size, inputs, _cache(experiment.pixel_cache, dataset, size))


def _cache(where: str, dataset: PreparedDataset, size: int) -> PixelCache | None:
    if where == "off" or (where == "auto" and fit_in_memory(len(dataset), size)):
        return None
    folder, share = Path(where), _SHARES["DIR"]
    if where == "auto":
        folder, share = cache_folder() / PIXELS, _SHARES["auto"]
    return open_pixels(folder, dataset, size, share=share, decoder=DECODER)
