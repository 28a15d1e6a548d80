"""The study's operations: rotation, shift, shear, zoom, both flips, brightness, noise.

Source: Huang et al., Diagnostics 2022;12:1457, which states no ranges: these are ours
"""

from cxrkeras.data.augmentation.operations import affine, brightness, noise
from cxrkeras.data.augmentation.shared.mixture import mixture

Part = mixture(
    __name__,
    affine.Part(rotation=10.0, shift=0.1, shear=0.1, zoom=(0.9, 1.1), hflip=0.5, vflip=0.5),
    brightness.Part(brightness=(0.9, 1.1)),
    noise.Part(noise=(0.01, 0.05)),
)
