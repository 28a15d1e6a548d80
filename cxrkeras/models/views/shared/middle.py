"""Crops of a chosen side, the first of them in the middle."""

from cxrkeras.models.views import Crop, Views
from cxrkeras.registry import option


class Middle(Views):
    """The crop in the middle; where one row or column is left over, as torchvision rounds."""

    main = "side"
    side: int = option(224, "Side of a crop, in pixels of --image-size.", ge=32)

    def seen(self, image_size):
        """See `Views.seen`."""
        return self.side

    def crops(self, image_size):
        """See `Views.crops`."""
        start = round((image_size - self.side) / 2)
        return (Crop(start, start),)
