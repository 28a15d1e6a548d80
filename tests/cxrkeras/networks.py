"""Networks and plans as the tests ask for them, in a line."""

from cxrkeras.models.architecture import Architecture
from cxrkeras.models.network import Network, build_network
from cxrkeras.registry import BACKBONES, HEADS, VIEWS
from cxrkeras.runs.target import load_target
from cxrkeras.training.plan import resolve
from cxrkeras.training.session import Session


def network_of(
    backbones: tuple[str, ...],
    image_size: int,
    heads: dict[str, int],
    *,
    head: str = "gap",
    inputs: tuple[str, ...] = ("image",),
    dropout: float = 0.5,
    seed: int = 0,
    views: str = "whole",
    three_way=None,
) -> Network:
    """`build_network` from parts by their texts."""
    parts = tuple(map(BACKBONES.make, backbones))
    seen = VIEWS.make(views)
    built = Architecture(parts, HEADS.make(head), image_size, inputs, dropout, seed, seen)
    return build_network(built, heads, three_way=three_way)


def session_of(experiment, dataset, start=("start",)) -> Session:
    """What a recipe works with, its trunks at a random start."""
    plan = resolve(experiment)
    target = load_target(experiment, dataset, None)
    return Session(plan, target, (None,) * len(plan.trunks), list(start))
