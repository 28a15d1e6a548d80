"""Public weights by name: a TOML file each, with where they are, their licence, and what they hold.

An address or a checksum stands here only if a public source was read that says it (`verified`).
Where no checksum is published, that of the first file taken in is noted beside it, and later files
must have it.
"""

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from data_prep.errors import UserError

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class PublicWeights:
    """A set of weights that others published.

    Attributes:
        name: of its file here.
        what: which network, trained on what.
        page: where a person reads about them.
        licence: in words.
        citation: what to cite.
        verified: where the address was read.
        url: of the file; "" where only a browser gets it.
        hub: what `--backbone hub:` takes; "" for a file.
        sha256: as published, or "".
        backbone: that the file holds, one that `weights import --as` takes.
        labels: of its outputs, as `weights import --labels` takes them.
        scaling: of the original's pixels; "" for the usual.
        image_size: side in pixels.
        pickled: whether the file is a whole PyTorch model, which is never run here.
    """

    name: str
    what: str
    page: str
    licence: str
    citation: str
    verified: str
    url: str = ""
    hub: str = ""
    sha256: str = ""
    backbone: str = ""
    labels: str = ""
    scaling: str = ""
    image_size: int = 224
    pickled: bool = False

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2] or f"{self.name}.h5"


def public_names() -> list[str]:
    """The names of all sets."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def public_weights(name: str) -> PublicWeights:
    """A set by its name, `-` for `_`.

    Raises:
        UserError: there is none of that name.
    """
    plain, names = name.replace("-", "_"), public_names()
    if plain not in names:
        near = get_close_matches(plain, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"NAME must be one of {', '.join(names)}. Received: {name!r}.{hint} Other files: "
            "`cxrkeras weights import`."
        )
    content = tomllib.loads((_HERE / f"{plain}.toml").read_text(encoding="utf-8"))
    facts = {key.replace("-", "_"): value for key, value in content.items()}
    known = {field.name for field in fields(PublicWeights)}
    return PublicWeights(plain, **{key: facts[key] for key in facts if key in known})
