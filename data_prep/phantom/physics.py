"""Attenuation to stored values: Beer-Lambert, scatter, quantum noise, logarithm, 12 bits."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_prep.phantom.geometry import Grid, resize

# Linear attenuation at an effective 70 keV (a chest film at 120 kV), 1/cm; after Hubbell & Seltzer,
# NISTIR 5632. Lung is soft tissue of a quarter of the density, metal is titanium.
SOFT, BONE, METAL = 0.193, 0.46, 2.6
AIR_COUNTS = 8.0e6  # quanta per cm² that reach the detector through air
TOP = 4095  # the largest value that 12 bits hold


@dataclass(frozen=True)
class Detector:
    """What a hospital's machine does to the picture.

    Args:
        dose: quanta relative to AIR_COUNTS.
        scatter: scattered over primary quanta (what a grid leaves).
        blur: sigma of the detector's point spread, cm.
        sharpen: strength of the manufacturer's edge enhancement.
        level: share of the broad differences (5 cm) that its latitude reduction takes away.
        thick: contrast of the body's thick half relative to its thin half.
        low: where in [0, 1] of the display the body's 95th percentile of exposure is put.
        high: where its 2nd percentile is put.
    """

    dose: float = 1.0
    scatter: float = 0.15
    blur: float = 0.02
    sharpen: float = 0.35
    level: float = 0.42
    thick: float = 0.62
    low: float = 0.20
    high: float = 0.88


def attenuation(soft: np.ndarray, bone: np.ndarray, metal: np.ndarray) -> np.ndarray:
    """The line integral of attenuation, from thicknesses in cm. Bone replaces soft tissue."""
    return SOFT * soft + (BONE - SOFT) * bone + METAL * metal


def expected_counts(path: np.ndarray, grid: Grid, detector: Detector) -> np.ndarray:
    """Quanta per pixel: I0 exp(-path) plus scatter, a 4 cm blur of the primary quanta."""
    primary = np.exp(-path)
    small = resize(primary, 48, Image.Resampling.BOX)
    wide = gaussian_filter(small, 4.0 / grid.field * 48, mode="nearest")
    scattered = detector.scatter * resize(wide, grid.size, Image.Resampling.BILINEAR)
    arriving = grid.blur(primary + scattered, detector.blur)
    return arriving * np.float32(AIR_COUNTS * detector.dose * grid.pixel**2)


def quantum_noise(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts, by their normal limit (a pixel here gets hundreds of quanta or more)."""
    noise = rng.standard_normal(counts.shape, dtype=np.float32)
    return np.maximum(counts + np.sqrt(counts) * noise, 1.0)


def exposure_range(body: np.ndarray, detector: Detector) -> tuple[float, float]:
    """The logarithms that become 0 and TOP: the machine's own ranging on the chest's histogram.

    Args:
        body: ln(counts) of pixels behind the patient, any shape.
        detector: holds where on the display their 2nd and 95th percentile go.
    """
    thick, thin = np.percentile(body, [2, 95])
    per_unit = (detector.high - detector.low) / max(float(thin - thick), 0.5)
    bottom = float(thick) - (1 - detector.high) / per_unit
    return bottom, bottom + 1 / per_unit


def log_values(counts: np.ndarray, bottom: float, top: float) -> np.ndarray:
    """PixelIntensityRelationship LOG, sign +1: more quanta, a higher value; 12 bits in uint16.

    Args:
        counts: quanta per pixel, > 0.
        bottom: natural logarithm of the counts that are stored as 0.
        top: that of the counts stored as 4095.

    Returns:
        uint16 in [0, 4095], linear in ln(counts) between `bottom` and `top`.
    """
    scaled = (np.log(counts) - bottom) / (top - bottom)
    return np.rint(np.clip(scaled, 0, 1) * TOP).astype(np.uint16)


def expose(
    path: np.ndarray, grid: Grid, detector: Detector, rng: np.random.Generator
) -> np.ndarray:
    """A map of attenuation as the machine stores it: (size, size) uint16 in [0, 4095]."""
    logs = np.log(quantum_noise(expected_counts(path, grid, detector), rng))
    air = np.log(AIR_COUNTS * detector.dose * grid.pixel**2)
    seen = _chest(logs)
    body = seen < air - 0.8
    if body.sum() < 0.2 * body.size:
        body = np.ones_like(body)
    logs = process(logs, grid, detector, float(np.median(seen[body])))
    return log_values(np.exp(logs), *exposure_range(_chest(logs)[body], detector))


def process(logs: np.ndarray, grid: Grid, detector: Detector, middle: float) -> np.ndarray:
    """The manufacturer's processing of ln(counts): two unsharp masks, and a tone curve.

    A narrow mask lifts edges; a wide one takes away part of the difference between lungs and
    abdomen (latitude reduction), so that ribs and vessels show in both. The curve flattens what
    lies below `middle` by `detector.thick`, with a smooth bend.
    """
    edges = detector.sharpen * (logs - grid.blur(logs, 0.25)) if detector.sharpen else 0
    small = resize(np.minimum(logs, middle + 1.2), 48, Image.Resampling.BOX)  # air stays black
    wide = gaussian_filter(small, 4.0 / grid.field * 48, mode="nearest")
    over = logs + edges - detector.level * resize(wide - middle, grid.size) - middle
    bend = np.float32(0.3)
    curved = detector.thick * over + (1 - detector.thick) * bend * np.logaddexp(0, over / bend)
    return curved + middle


def _chest(image: np.ndarray) -> np.ndarray:
    """The middle of the image, thinned: enough for its histogram."""
    edge = len(image) // 8
    return image[edge : len(image) - edge : 2, edge : len(image) - edge : 2]
