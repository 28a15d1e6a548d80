"""The colours of heat maps: viridis, whose lightness rises all the way.

It reads the same in grey, on paper and with any colour blindness (Nuñez, Anderton & Renslow, PLoS
ONE 2018). Every sixteenth of matplotlib's 256 colours (CC0), and straight lines between them.
"""

import numpy as np

_ANCHORS = (
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
    "1f9f88 27ad81 3dbc74 5cc863 81d34d aadc32 d5e21a fde725"
)
_TABLE = np.array([tuple(bytes.fromhex(anchor)) for anchor in _ANCHORS.split()], np.float64)


def coloured(values: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] as colours, dark violet to light yellow.

    Args:
        values: (...) float; what is beyond the ends takes their colour.

    Returns:
        (..., 3) uint8.
    """
    places = np.linspace(0, 1, len(_TABLE))
    channels = [np.interp(values, places, channel) for channel in _TABLE.T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
