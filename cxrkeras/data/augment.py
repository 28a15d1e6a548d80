"""Random changes of training images: all geometry in one resample, then brightness and noise."""

import math

import keras
from keras import ops

PRESETS: dict[str, dict] = {
    # The study names the operations, not their ranges: these are ours (SCIENCE, section 1).
    "study": {
        "rotation": 10.0,
        "shift": 0.1,
        "shear": 0.1,
        "zoom": (0.9, 1.1),
        "brightness": (0.9, 1.1),
        "hflip": 0.5,
        "vflip": 0.5,
        "noise": (0.01, 0.05),
    },
    "light": {
        "rotation": 5.0,
        "shift": 0.03,
        "shear": 0.0,
        "zoom": (0.95, 1.05),
        "brightness": (0.9, 1.1),
        "hflip": 0.0,
        "vflip": 0.0,
        "noise": (0.0, 0.0),
    },
    "none": {
        "rotation": 0.0,
        "shift": 0.0,
        "shear": 0.0,
        "zoom": (1.0, 1.0),
        "brightness": (1.0, 1.0),
        "hflip": 0.0,
        "vflip": 0.0,
        "noise": (0.0, 0.0),
    },
}
GEOMETRY = ("rotation", "shift", "shear", "zoom", "hflip", "vflip")
FULL_RANGE = 255.0


def affine_maps(height, width, *, rotation, shift_x, shift_y, shear, zoom, flip_x, flip_y):
    """The affine maps that `keras.ops.image.affine_transform` takes: from output to input pixels.

    About the centre ((W-1)/2, (H-1)/2) an image is flipped, magnified, sheared, turned and shifted,
    in this order; the map returned undoes that in reverse.

    Args:
        height: of the images, in pixels.
        width: of the images, in pixels.
        rotation: (N,) radians, counter-clockwise as seen (`numpy.rot90`).
        shift_x: (N,) pixels to the right.
        shift_y: (N,) pixels down.
        shear: (N,) pixels to the right per pixel down.
        zoom: (N,) magnification.
        flip_x: (N,) -1 = swap left and right, 1 = leave.
        flip_y: (N,) -1 = swap top and bottom, 1 = leave.

    Returns:
        (N, 8) float32.
    """
    cos, sin = ops.cos(rotation), ops.sin(rotation)
    # Unturn, then unshear (x' = x - shear y), then unmagnify and unflip.
    a0, a1 = (cos - shear * sin) * flip_x / zoom, (-sin - shear * cos) * flip_x / zoom
    b0, b1 = sin * flip_y / zoom, cos * flip_y / zoom
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x, y = centre_x + shift_x, centre_y + shift_y
    a2, b2 = centre_x - (a0 * x + a1 * y), centre_y - (b0 * x + b1 * y)
    zero = ops.zeros_like(a0)
    return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=-1)


@keras.saving.register_keras_serializable("cxrkeras")
class Augment(keras.layers.Layer):
    """Random augmentation of grey images, only where `training=True`.

    Each image gets one affine map about its centre ((W-1)/2, (H-1)/2): flip, then zoom (equal in x
    and y, so that the cardiothoracic ratio stays), shear, rotation and shift, with one bilinear
    resample; outside lies black, as outside the collimated field. Then come brightness (a factor),
    Gaussian noise and a clip to 0-255. All is computed in float32.

    The weight `strength` scales every range and flip probability: 1.0 at first; after
    `layer.strength.assign(0.0)` images pass unchanged to the last bit, with no retracing.

    Args:
        preset: `study`, `light` (no flips, no noise) or `none`; an argument below overrides it.
        rotation: largest angle in degrees, either way.
        shift: largest shift as a fraction of height and width, either way.
        shear: largest horizontal shear (pixels per pixel of height), either way.
        zoom: lowest and highest magnification.
        brightness: lowest and highest factor.
        hflip: probability of swapping left and right (which is anatomically wrong: situs).
        vflip: probability of swapping top and bottom.
        noise: lowest and highest sigma as a fraction of the full range of 255.
        seed: of the layer's own random state.

    Call arguments: images (N, H, W, 1), 0-255. Returns float32 of the same shape.
    """

    def __init__(
        self,
        preset="study",
        *,
        rotation=None,
        shift=None,
        shear=None,
        zoom=None,
        brightness=None,
        hflip=None,
        vflip=None,
        noise=None,
        seed=None,
        **kwargs,
    ):
        if preset not in PRESETS:
            raise ValueError(f"no augmentation preset {preset!r}; there are {', '.join(PRESETS)}")
        kwargs.setdefault("dtype", "float32")  # half precision would move pixels by whole steps
        super().__init__(**kwargs)
        given = {
            "rotation": rotation,
            "shift": shift,
            "shear": shear,
            "zoom": zoom,
            "brightness": brightness,
            "hflip": hflip,
            "vflip": vflip,
            "noise": noise,
        }
        given = {name: value for name, value in given.items() if value is not None}
        self.ranges = {name: _plain(value) for name, value in (PRESETS[preset] | given).items()}
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)
        self.strength = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="strength", dtype="float32"
        )
        # TensorFlow's resampling kernel has no XLA version; JAX's compiles.
        self.supports_jit = not self._does(*GEOMETRY) or keras.backend.backend() != "tensorflow"

    def call(self, images, training=False):
        """Augment a batch; the identity unless `training`."""
        images = ops.cast(images, "float32")
        if not training or not self._does(*self.ranges):
            return images
        if self._does(*GEOMETRY):
            images = ops.image.affine_transform(
                images, self._maps(images), interpolation="bilinear", fill_mode="constant"
            )
        if self._does("brightness"):
            images = images * _per_image(
                self._draw(images, *self.ranges["brightness"], neutral=1.0)
            )
        if self._does("noise"):
            sigma = FULL_RANGE * self._draw(images, *self.ranges["noise"])
            noise = keras.random.normal(ops.shape(images), dtype="float32", seed=self.random)
            images = images + _per_image(sigma) * noise
        return ops.clip(images, 0.0, FULL_RANGE)

    def _does(self, *names) -> bool:
        return any(self.ranges[name] != PRESETS["none"][name] for name in names)

    def _maps(self, images):
        height, width = images.shape[1:3]
        turn, shift, shear = (self.ranges[name] for name in ("rotation", "shift", "shear"))
        return affine_maps(
            height,
            width,
            rotation=self._draw(images, -math.radians(turn), math.radians(turn)),
            shift_x=self._draw(images, -shift * width, shift * width),
            shift_y=self._draw(images, -shift * height, shift * height),
            shear=self._draw(images, -shear, shear),
            zoom=self._draw(images, *self.ranges["zoom"], neutral=1.0),
            flip_x=self._flip(images, self.ranges["hflip"]),
            flip_y=self._flip(images, self.ranges["vflip"]),
        )

    def _draw(self, images, low, high, neutral=0.0):
        """(N,) uniform in [low, high], drawn towards `neutral` as `strength` falls."""
        drawn = keras.random.uniform(
            (ops.shape(images)[0],), low, high, dtype="float32", seed=self.random
        )
        return neutral + self.strength * (drawn - neutral)

    def _flip(self, images, probability):
        """(N,) -1 with the probability, else 1."""
        drawn = keras.random.uniform((ops.shape(images)[0],), dtype="float32", seed=self.random)
        return ops.where(drawn < probability * self.strength, -1.0, 1.0)

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return input_shape

    def get_config(self):
        """The arguments, for saving: every range, whatever the preset was."""
        return {**super().get_config(), **self.ranges, "seed": self.seed}


def _plain(value):
    """Numbers as they are, pairs as tuples (they come back from JSON as lists)."""
    return tuple(value) if isinstance(value, list | tuple) else value


def _per_image(values):
    return ops.reshape(values, (-1, 1, 1, 1))
