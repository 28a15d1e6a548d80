"""The three methods of transferring, as plans: which trunks, their start, what they train on.

In the study's terms, *regular* is initiating, *mixed* is concatenating, *cotrain* is co-training
(Huang et al., Diagnostics 2022;12:1457). A plan knows nothing of Keras.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Chain, Dataset, Weights
from data_prep.errors import UserError, WrongUse


@dataclass(frozen=True)
class TrunkPlan:
    """One trunk of the target model.

    Args:
        backbone: the backbone, as `NAME` or `NAME:key=value`.
        start: the weights it starts from; None for a random start.
        stages: what it is trained on before the target, in order: each stage is one dataset, or
            several together.
    """

    backbone: str
    start: Weights | None
    stages: tuple[tuple[Dataset, ...], ...]


def _regular(backbones: tuple[str, ...], chains: tuple[Chain, ...]) -> tuple[TrunkPlan, ...]:
    backbone = _one("regular", backbones)
    if len(chains) > 1:
        raise UserError(
            "regular takes one chain: join the links with commas (--source imagenet,nih=DIR). "
            f"Received: --source {len(chains)} times."
        )
    return (_chained(backbone, chains[0] if chains else ()),)


def _mixed(backbones: tuple[str, ...], chains: tuple[Chain, ...]) -> tuple[TrunkPlan, ...]:
    trunks = max(len(backbones), len(chains), 2)
    if len(backbones) not in (1, trunks) or len(chains) not in (0, trunks):
        raise UserError(
            "mixed has two or more trunks, one per --source: give as many --source as "
            f"--backbone, or one --backbone for all. Received: {len(chains)} --source, "
            f"{len(backbones)} --backbone."
        )
    backbones = backbones * trunks if len(backbones) == 1 else backbones
    return tuple(_chained(*pair) for pair in zip(backbones, chains or ((),) * trunks, strict=True))


def _cotrain(backbones: tuple[str, ...], chains: tuple[Chain, ...]) -> tuple[TrunkPlan, ...]:
    backbone = _one("cotrain", backbones)
    links = [link for chain in chains for link in chain]
    weights = [link for link in links if isinstance(link, Weights)]
    # In order of their names, so that the order in which they are given changes nothing.
    datasets = tuple(
        sorted((link for link in links if isinstance(link, Dataset)), key=lambda link: link.name)
    )
    names = [link.name for link in datasets]
    if len(weights) > 1:
        raise UserError(f"cotrain starts from at most one weights link. Received: {len(weights)}.")
    if len(datasets) < 2 or len(set(names)) < len(names):
        raise UserError(
            "cotrain trains on two or more datasets together, each under its own name (--source "
            f"a=DIR --source b=DIR). Received: {', '.join(names) or 'none'}."
        )
    return (TrunkPlan(backbone, weights[0] if weights else None, (datasets,)),)


def _one(method: str, backbones: tuple[str, ...]) -> str:
    if len(backbones) != 1:
        raise UserError(
            f"{method} has one trunk: give one --backbone. Received: {', '.join(backbones)}."
        )
    return backbones[0]


METHODS: dict[str, Callable[[tuple[str, ...], tuple[Chain, ...]], tuple[TrunkPlan, ...]]] = {
    "regular": _regular,
    "mixed": _mixed,
    "cotrain": _cotrain,
}


def make_plan(
    method: str, backbones: tuple[str, ...], chains: tuple[Chain, ...]
) -> tuple[TrunkPlan, ...]:
    """The trunks that a method needs.

    Args:
        method: a key of `METHODS`.
        backbones: one, or for `mixed` one per trunk.
        chains: the sources in their order, read.

    Raises:
        UserError: naming a combination that makes no sense.
    """
    return METHODS[method](backbones, chains)


def check_frozen(plan: tuple[TrunkPlan, ...]) -> None:
    """Refuse to freeze a trunk that has learnt nothing, whose features would be random.

    Raises:
        WrongUse: naming the options that would give it something to start from.
    """
    for trunk in plan:
        if trunk.start is None and not trunk.stages:
            raise WrongUse(
                "--recipe frozen freezes the trunk, but without --source the weights of "
                f"{trunk.backbone} are random. Give a --source, or --recipe finetune, or "
                "--random-trunk if random weights are meant."
            )
        partly = BACKBONES.load(trunk.backbone).partly
        if partly and trunk.start == Weights("imagenet") and not trunk.stages:
            raise WrongUse(
                f"--recipe frozen freezes the trunk, but ImageNet's weights leave {partly} of "
                f"{trunk.backbone} random. Add a dataset to --source, or give --recipe finetune, "
                "or --random-trunk if random weights are meant."
            )


def _chained(backbone: str, chain: Chain) -> TrunkPlan:
    start = chain[0] if chain and isinstance(chain[0], Weights) else None
    stages = tuple((link,) for link in chain if isinstance(link, Dataset))
    return TrunkPlan(backbone, start, stages)
