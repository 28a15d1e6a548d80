"""Whether a picture looks like a frontal chest film, by four traits of its grey at 32 x 32.

They tell what is hardly a chest film (a photograph, a slice, noise, a hand) from what may be one.
They don't judge a film's quality, and reject nothing. How often real films lack one is in
docs/science.md.
"""

import numpy as np
from PIL import Image

UNLIKE = "looks unlike a frontal chest film"
_SIDE = 32
_STRIDED = 128  # pixels that the shorter side keeps before it is resized: enough for 32
_SHIFTS = range(-3, 4)  # of 32 columns, by which the spine may stand off the middle

# Boxes in parts of the side: left, right, top, bottom.
_SPINE, _LUNGS = (0.44, 0.56, 0.30, 0.60), ((0.22, 0.38, 0.25, 0.50), (0.62, 0.78, 0.25, 0.50))
_ABDOMEN, _NECK = (0.30, 0.70, 0.80, 0.97), (0.40, 0.60, 0.00, 0.30)
_CORNERS = ((0.0, 0.2, 0.0, 0.1), (0.8, 1.0, 0.0, 0.1))


def looks(pixels: np.ndarray) -> tuple[str, ...]:
    """How a picture differs from a frontal chest film.

    Args:
        pixels: (H, W) in [0, 1], upright, not constant.

    Returns:
        What tells it from one; nothing for a picture that may well be one.
    """
    grey = _standardised(pixels)
    mirrored = grey[:, ::-1]
    symmetry = max(float((np.roll(grey, 2 * k, 1) * mirrored).mean()) for k in _SHIFTS)
    spine = max(_spine_over_lungs(np.roll(grey, k, 1)) for k in _SHIFTS)
    abdomen = _mean(grey, _ABDOMEN) - min(_mean(grey, lung) for lung in _LUNGS)
    air = _mean(grey, _NECK) - max(_mean(grey, corner) for corner in _CORNERS)
    lacks = {
        "left and right differ": symmetry < 0.45,
        "no two lungs darker than the spine": spine < 0.1,
        "no bright abdomen below dark lungs": spine + abdomen + air < 1.3,
        "rough": _roughness(grey) > 0.7,
    }
    return tuple(trait for trait, lacking in lacks.items() if lacking)


def _standardised(pixels: np.ndarray) -> np.ndarray:
    """(32, 32) with mean 0 and standard deviation 1."""
    step = max(1, min(pixels.shape) // _STRIDED)
    image = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step], np.float32))
    grey = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64)
    return (grey - grey.mean()) / max(grey.std(), 1e-9)


def _mean(grey: np.ndarray, box: tuple[float, float, float, float]) -> float:
    left, right, top, bottom = (int(part * _SIDE) for part in box)
    return float(grey[top:bottom, left:right].mean())


def _spine_over_lungs(grey: np.ndarray) -> float:
    return _mean(grey, _SPINE) - max(_mean(grey, lung) for lung in _LUNGS)


def _roughness(grey: np.ndarray) -> float:
    """The mean absolute Laplacian: 2.7 for noise."""
    inner = 4 * grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(inner - around).mean())
