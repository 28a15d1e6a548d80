"""The kinds of heat map: what they are called, what they show, and which one a model gets.

CAM: Zhou et al., CVPR 2016. Grad-CAM: Selvaraju et al., ICCV 2017. Grad-CAM++: Chattopadhay et al.,
WACV 2018. Gradient-weighted relevance: Chefer et al., ICCV 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras

from cxrkeras.models.heads import Head
from cxrkeras.serving.explain.mapping.gradients import WEIGHTS
from cxrkeras.serving.explain.mapping.relevance import Relevance, attends
from cxrkeras.serving.explain.mapping.structure import Parts, take_apart, taken_at_trunks
from data_prep.errors import UserError


@dataclass(frozen=True)
class Way:
    """A kind of map, as one model has it.

    Attributes:
        method: one of `explain.MAPS`.
        title: what it is called.
        meaning: what it shows; maps of one meaning may be averaged.
        unit: of its values.
        why: the reason for this kind, where nobody chose it; else "".
    """

    method: str
    title: str
    meaning: str
    unit: str = "weight"
    why: str = ""


_WAYS = {
    way.method: way
    for way in (
        Way(
            "cam",
            "CAM",
            "class activation map: its mean plus the bias is the label's logit",
            "logit",
            "the head is a dense layer on averaged maps, on which class activation maps are exact",
        ),
        Way(
            "gradcam",
            "Grad-CAM",
            "Grad-CAM: the map's channels, weighted by the score's mean gradient",
        ),
        Way(
            "gradcam++",
            "Grad-CAM++",
            "Grad-CAM++: Grad-CAM with more weight on the places that raise the score",
        ),
        Way(
            "relevance",
            "Relevance",
            "gradient-weighted relevance: where the tokens that raise the score looked",
        ),
    )
}


def own_way(head: Head) -> Way:
    """The head's own map, where it has one."""
    name = head.part_name()
    why = "the head knows better what its score comes from"
    return Way("own", f"Own map ({name})", f"the head {name}'s own: {head.map}", head.unit, why)


def way_of(
    model: keras.Model, method: str | None, head: Head | None, trunks: Sequence[Parts] = ()
) -> tuple[Way, Parts, Relevance | None]:
    """Choose a kind of map, and take the model apart for it.

    Args:
        model: as `structure.take_apart` takes it.
        method: one of `explain.MAPS`. By default the head's own where it has one, else `cam` where
            it is exact, else for a trunk with attention `relevance`, else `gradcam`.
        head: with which the model was built; None where that isn't known.
        trunks: as `like` of `structure.take_apart`.

    Returns:
        The kind, the parts, and for `relevance` what makes the maps.

    Raises:
        UserError: for a model of another form, or a kind that it doesn't have.
    """
    own = head is not None and bool(head.map)
    if method == "own" and not own:
        raise UserError(f"--map own {_lacking(head)}. Leave --map out, or take --map gradcam.")
    if own and method in (None, "own"):
        return _why(own_way(head), method), taken_at_trunks(model, head), None
    if own and method in WEIGHTS:
        return _WAYS[method], taken_at_trunks(model, head), None
    parts = take_apart(model, trunks)
    exact = parts.dense is not None
    if method == "cam" and not exact:
        other = "own" if own else "gradcam"
        raise UserError(
            "CAM is exact only for a dense layer on global average pooling. In this model "
            f"{parts.why_not}. Take --map {other}."
        )
    relevant = _relevance(model, method) if method == "relevance" or not (method or exact) else None
    if exact and not method:
        return _WAYS["cam"], parts, None
    taken = method or ("relevance" if relevant else "gradcam")
    way = replace(_WAYS[taken], why=f"no map is exact here: {parts.why_not}")
    return _why(way, method), parts, relevant


def _relevance(model: keras.Model, method: str | None) -> Relevance | None:
    """What makes such maps; None where nobody asked for them and the model has none."""
    if not method and not attends(model):
        return None
    try:
        return Relevance(model)
    except UserError:
        if method:
            raise
        return None


def _why(way: Way, method: str | None) -> Way:
    return replace(way, why="") if method else way


def _lacking(head: Head | None) -> str:
    if head is None:
        return "needs to know with which head the model was built, which its model.json doesn't say"
    return f"needs a head with a map of its own, which {head} hasn't"
