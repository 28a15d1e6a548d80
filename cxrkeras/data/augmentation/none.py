"""No augmentation: every image as it is."""

from cxrkeras.data.augmentation.shared.mixture import mixture

Part = mixture(__name__)
