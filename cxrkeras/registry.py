"""The kinds of parts. What a part is, and how it is found, says `data_prep/registry.py`."""

from types import ModuleType

from cxrkeras.runtime import quietly
from data_prep.errors import UserError
from data_prep.registry import About, Family, Part, Registry, option, spelled

__all__ = ["KINDS", "About", "Family", "Part", "Registry", "option", "spelled"]


class _Kind(Registry):
    """Parts of which any may be the first to import Keras."""

    def _import(self, module: str) -> ModuleType:
        with quietly():
            return super()._import(module)


BACKBONES: Registry = _Kind(
    "backbone", "cxrkeras.models.backbones", family="cxrkeras.models.backbones.families"
)
HEADS: Registry = _Kind("head", "cxrkeras.models.heads")
VIEWS: Registry = _Kind("view", "cxrkeras.models.views", "--views")
LOSSES: Registry = _Kind("loss", "cxrkeras.models.losses")
OPTIMIZERS: Registry = _Kind("optimizer", "cxrkeras.training.optimizers")
AVERAGES: Registry = _Kind("average", "cxrkeras.training.averages")
RECIPES: Registry = _Kind("recipe", "cxrkeras.training.recipes")
LOGGERS: Registry = _Kind("logger", "cxrkeras.training.loggers", "--log")
PRESETS: Registry = _Kind("augmentation preset", "cxrkeras.data.augmentation", "--augment")
OPERATIONS: Registry = _Kind(
    "augmentation operation", "cxrkeras.data.augmentation.operations", "--augment"
)
TRANSFORMS: Registry = _Kind("batch transform", "cxrkeras.data.transforms", "--transform")
POLICIES: Registry = _Kind("label policy", "cxrkeras.data.labels.policies", "--uncertain")
RULES: Registry = _Kind("threshold rule", "cxrkeras.evaluation.rules", "--operating-point")
SHORTCUTS: Registry = _Kind("shortcut", "cxrkeras.evaluation.shortcuts", "cxrkeras shortcuts")
READERS: Registry = _Kind("reader", "data_prep.readers", "prep")
PREDICTORS: Registry = _Kind(
    "predictor", "cxrkeras.serving.predictor.kinds", "The kind in model.json"
)
EXECUTORS: Registry = _Kind("executor", "data_prep.executors")

KINDS: tuple[Registry, ...] = (
    BACKBONES,
    HEADS,
    VIEWS,
    LOSSES,
    OPTIMIZERS,
    AVERAGES,
    RECIPES,
    LOGGERS,
    PRESETS,
    OPERATIONS,
    TRANSFORMS,
    POLICIES,
    RULES,
    SHORTCUTS,
    READERS,
    PREDICTORS,
    EXECUTORS,
)


def in_words(kind: Registry, text: str) -> str:
    """A part and its description, `frozen: the trunk doesn't change; …`; else its text alone."""
    try:
        line = kind.about(text).line
    except UserError:
        return text
    return f"{text}: {line[:1].lower()}{line[1:].rstrip('.')}"
