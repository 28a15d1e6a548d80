"""The whole image and its mirror image; their mean probability."""

from cxrkeras.models.views import Crop, Views


class Part(Views):
    """What a heart looks like on the other side is for whoever takes it to answer."""

    def crops(self, image_size):
        """See `Views.crops`."""
        return (Crop(0, 0), Crop(0, 0, mirrored=True))
