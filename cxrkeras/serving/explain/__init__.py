"""Where in an image a label's score comes from."""

MAPS = ("own", "cam", "gradcam", "gradcam++", "relevance")
DEFAULT_MAP = (
    "own where the head has a map of its own; else cam where it is exact; else relevance for a "
    "trunk with attention; else gradcam"
)
