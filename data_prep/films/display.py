"""From the stored values of a DICOM image to display-ready grey in [0, 1]: air dark, bone bright.

Modality LUT, then VOI, then the presentation's inversion, once and last (PS3.3 C.11.1, C.11.2,
C.11.6). Stored values have at most 16 bits, so the whole chain is worked out once in double
precision for each value that can occur, and the image is looked up in that table.

pydicom's own helpers serve as the reference in the tests. They aren't used here because they wrap
around in two cases (`apply_voi` with an 8-bit LUT of more than 256 entries, `apply_modality_lut`
on signed values), refuse modality LUTs of 9 to 15 bits, and scale a window's result to the stored
range rather than to [0, 1].
"""

from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from data_prep.errors import RejectedFile
from data_prep.films.stored import padding_of, without_overlay

TURNED = "turned or mirrored as PatientOrientation says"
_ROWS = 64


class Grey(NamedTuple):
    """A rendered image.

    Attributes:
        pixels: (H, W) float32 in [0, 1], padding 0.
        padding: (H, W) bool, True outside the native image, or None without padding.
        warnings: One short line for each thing that a person should know.
    """

    pixels: np.ndarray
    padding: np.ndarray | None
    warnings: list[str]


def render(stored: np.ndarray, dataset: Dataset) -> Grey:
    """Render stored values as `dataset`'s header says.

    Args:
        stored: (H, W) signed or unsigned integers of at most 16 bits.
        dataset: The header: Modality LUT, VOI LUT and image pixel modules.

    Returns:
        The display-ready image. Values of the native image that the padding value also has are
        kept: only padding that reaches the edge of the picture is taken for padding.

    Raises:
        RejectedFile: There is nothing but padding, or a LUT is malformed.
    """
    warnings: list[str] = []
    if str(dataset.get("PresentationIntentType") or "").upper() == "FOR PROCESSING":
        warnings.append("raw image (FOR PROCESSING): not meant for display")
    stored = without_overlay(stored, dataset)
    padding = padding_of(stored, dataset)
    inside = stored if padding is None else stored[~padding]
    if inside.size == 0:
        raise RejectedFile("blank: nothing but padding")
    low, high = int(inside.min()), int(inside.max())
    values = np.arange(low, high + 1)
    modality = apply_modality(values, dataset, warnings)
    table = apply_voi(modality, dataset, warnings)
    if table is None:
        table = _full_range(modality, values, dataset, warnings)
    elif low < high and np.ptp(table) == 0:
        warnings.append("the VOI window lies outside the image's values: full range used")
        table = _scaled(modality, modality.min(), modality.max())
    if inverted(dataset, warnings):
        table = 1.0 - table
    pixels = _looked_up(stored, table.astype(np.float32), low)
    if padding is not None:
        pixels[padding] = 0.0
    return Grey(pixels, padding, warnings)


def _looked_up(stored: np.ndarray, table: np.ndarray, low: int) -> np.ndarray:
    """(H, W) float32: the entry of each stored value, the first of which is that of `low`.

    Values beyond the table's ends, which padding may have, get the entries there. Entries for all
    that the storage can hold, in the order in which indices wrap around, need no other arithmetic
    for each pixel.
    """
    kind = np.iinfo(stored.dtype)
    values = np.arange(kind.min, kind.max + 1)
    every = np.roll(table[np.clip(values - low, 0, len(table) - 1)], kind.min)
    pixels = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), _ROWS):  # they stay within the processor's cache
        rows = slice(start, start + _ROWS)
        every.take(stored[rows], out=pixels[rows], mode="wrap")
    return pixels


def upright(grey: Grey, dataset: Dataset) -> Grey:
    """Turn the picture so that the feet are below and, in a frontal view, the left is on the right.

    PatientOrientation names where the rows and the columns run to (C.7.6.1.1.1); without it, or
    if it makes no sense, the picture stays as stored.
    """
    ends = [str(end)[:1].upper() for end in dataset.get("PatientOrientation") or []]
    if len(ends) != 2 or sum(end in ("H", "F") for end in ends) != 1:
        return grey
    turned = ends[0] in ("H", "F")
    row, column = ends[::-1] if turned else ends
    step = (
        slice(None, None, -1 if column == "H" else 1),
        slice(None, None, -1 if row == "R" else 1),
    )
    if not turned and column == "F" and row != "R":
        return grey
    pixels, padding = (
        None if image is None else np.ascontiguousarray((image.T if turned else image)[step])
        for image in grey[:2]
    )
    return Grey(pixels, padding, [*grey.warnings, TURNED])


def apply_modality(
    values: np.ndarray, dataset: Dataset, warnings: list[str] | None = None
) -> np.ndarray:
    """Stored values to the manufacturer-independent ones: Modality LUT or rescale (C.11.1).

    Raises:
        RejectedFile: the rescale isn't finite, or leaves no difference between values.
    """
    item = _lut_item(dataset, "ModalityLUTSequence", warnings)
    if item is not None:
        entries, first, _ = read_lut(item, int(values.min()) < 0)
        return entries[np.clip(values - first, 0, len(entries) - 1)].astype(np.float64)
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    intercept = _number(dataset.get("RescaleIntercept"), 0.0)
    if slope == 0:
        raise RejectedFile("rescale slope of 0")
    if not np.isfinite([slope, intercept]).all():
        raise RejectedFile("rescale slope or intercept that isn't a finite number")
    with np.errstate(over="ignore"):
        rescaled = values * slope + intercept
    if not np.isfinite([rescaled.min(), rescaled.max(), np.ptp(rescaled)]).all():
        raise RejectedFile("rescale slope or intercept so large that values overflow")
    if np.spacing(np.abs(rescaled).max()) > abs(slope):
        raise RejectedFile("rescale slope and intercept that make different values equal")
    return rescaled


def _lut_item(dataset: Dataset, keyword: str, warnings: list[str] | None) -> Dataset | None:
    """A sequence's first LUT; None if there is none, or one without content."""
    items = dataset.get(keyword)
    if not items:
        return None
    if any(items[0].get(part) is None for part in ("LUTDescriptor", "LUTData")):
        if warnings is not None:
            name = "modality LUT" if keyword == "ModalityLUTSequence" else "VOI LUT"
            warnings.append(f"empty {name} ignored")
        return None
    return items[0]


def apply_voi(values: np.ndarray, dataset: Dataset, warnings: list[str]) -> np.ndarray | None:
    """Values of interest to [0, 1]: the first VOI LUT, else the first window, else None."""
    lut = _lut_item(dataset, "VOILUTSequence", warnings)
    windows = _windows(dataset)
    if lut is not None:
        if len(dataset.VOILUTSequence) > 1 or windows:
            warnings.append("several VOI transformations: the first VOI LUT is used")
        return _voi_lut(values, lut, warnings)
    if not windows:
        return None
    if len(windows) > 1:
        warnings.append(f"{len(windows)} VOI windows: the first is used")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        warnings.append("unknown VOI LUT function: taken as LINEAR")
        function = "LINEAR"
    center, width = windows[0]
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        warnings.append("invalid VOI window ignored")
        return None
    return window(values, center, width, function)


def window(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Map values to [0, 1] by a window (PS3.3 C.11.2.1.2.1, C.11.2.1.3).

    Args:
        values: Numbers of any shape, in the units after the Modality LUT.
        center: Window Center c.
        width: Window Width w: at least 1 for LINEAR, above 0 otherwise.
        function: `LINEAR` (x - (c - .5)) / (w - 1) + .5, `LINEAR_EXACT` (x - c) / w + .5, both
            clipped, or `SIGMOID` 1 / (1 + exp(-4 (x - c) / w)).

    Returns:
        float64 of the same shape, in [0, 1].
    """
    x = np.asarray(values, np.float64)
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    if width == 0:  # LINEAR of width 1 is a threshold: "x <= c - 0.5 -> minimum, else maximum"
        return (x > center).astype(np.float64)
    return np.clip((x - center) / width + 0.5, 0.0, 1.0)


def inverted(dataset: Dataset, warnings: list[str]) -> bool:
    """Whether the lowest value after the VOI is white; on contradiction the LUT shape decides."""
    monochrome1 = str(dataset.get("PhotometricInterpretation", "")).upper() == "MONOCHROME1"
    shape = str(dataset.get("PresentationLUTShape") or "").upper()
    if shape not in ("INVERSE", "IDENTITY"):
        return monochrome1
    if (shape == "INVERSE") != monochrome1:
        warnings.append(
            f"PresentationLUTShape {shape} contradicts MONOCHROME{1 if monochrome1 else 2}:"
            " the former is trusted"
        )
    return shape == "INVERSE"


def read_lut(item: Dataset, signed: bool) -> tuple[np.ndarray, int, int]:
    """Entries, first mapped value and bits of a LUT item (PS3.3 C.11.1.1).

    Args:
        item: An item of a Modality or VOI LUT Sequence.
        signed: Whether the values that enter can be negative: some writers store a negative
            first value as unsigned.
    """
    try:
        count, first, bits = (int(part) for part in item.LUTDescriptor)
    except (TypeError, ValueError):
        raise RejectedFile("malformed LUT in the header") from None
    count = count & 0xFFFF or 1 << 16
    if signed and first > 0x7FFF:
        first -= 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        words = len(data) >= 2 * count  # 8-bit entries may be packed, one to a byte
        entries = np.frombuffer(data, "<u2" if words else "u1")[:count]
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64))[:count] & 0xFFFF
    if len(entries) == 0 or not 1 <= bits <= 16:
        raise RejectedFile("malformed LUT in the header")
    return entries, first, bits


def _voi_lut(values: np.ndarray, item: Dataset, warnings: list[str]) -> np.ndarray:
    entries, first, bits = read_lut(item, float(values.min()) < 0)
    used = int(entries.max()).bit_length()
    if used > bits or used < bits - 1:
        # A frequent fault: 16 bits declared, 12 used, which would leave the picture black.
        warnings.append(f"VOI LUT declares {bits} bits and uses {used}: scaled by the latter")
        bits = max(used, 1)
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[index] / float((1 << bits) - 1)


def _full_range(
    modality: np.ndarray, values: np.ndarray, dataset: Dataset, warnings: list[str]
) -> np.ndarray:
    """Without a VOI: 8 bits are display-ready as in a PNG; deeper images get their own range.

    A deeper image rarely fills its range (12 bits of content in 16), and scaled by it would be
    nearly black; an 8-bit one was scaled by whoever reduced it to 8 bits.
    """
    bits = int(dataset.BitsStored)
    if bits > 8:
        warnings.append("no VOI window: the image's own minimum and maximum are used")
        return _scaled(modality, modality.min(), modality.max())
    start = -(1 << (bits - 1)) if int(dataset.get("PixelRepresentation") or 0) else 0
    ends = apply_modality(np.array([start, start + (1 << bits) - 1]), dataset)
    return _scaled(modality, ends.min(), ends.max())


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0)


def _windows(dataset: Dataset) -> list[tuple[float | None, float | None]]:
    centers, widths = (_numbers(dataset.get(f"Window{part}")) for part in ("Center", "Width"))
    if not all(np.isfinite(number) for number in (*centers, *widths) if number is not None):
        raise RejectedFile("VOI window that isn't finite numbers")
    return list(zip(centers, widths, strict=False))


def _numbers(value: object) -> list[float | None]:
    if value is None or value == "":
        return []
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return [_number(value, None)]
    return [_number(part, None) for part in value]


def _number(value: object, default: float | None) -> float | None:
    if value is None or value == "":
        return default
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise RejectedFile("a rescale or window value that isn't a number") from None
