"""Resolves a description, once, into the typed parts with which training works."""

from dataclasses import dataclass

from cxrkeras import runtime
from cxrkeras.data.augmentation import Preset
from cxrkeras.data.labels.entries import GUESSED_BLANK
from cxrkeras.data.labels.uncertain import guesses
from cxrkeras.data.transforms import Transform
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.heads import Head
from cxrkeras.models.losses import Loss
from cxrkeras.models.views import Views
from cxrkeras.registry import (
    AVERAGES,
    BACKBONES,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    PRESETS,
    RECIPES,
    TRANSFORMS,
    VIEWS,
)
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.transfer import TrunkPlan, check_frozen, make_plan
from cxrkeras.training.averages import Average
from cxrkeras.training.optimizers import Optimizer
from cxrkeras.training.recipes import Recipe
from data_prep.errors import UserError

SOURCE_AUGMENT = "study"
SOURCE_VALIDATION = 0.15
SELF_TRAINING = "self_training"
"""The recipe, wrapped around another, that fills in what a label policy leaves to be guessed."""


@dataclass(frozen=True)
class Plan:
    """What is to be done, as objects.

    Args:
        experiment: the description, for numbers and switches.
        trunks: where each trunk starts and what it learns from before the target.
        architecture: the network's on the target; a source stage has one of its trunks.
        loss: the loss of all trainings.
        optimizer: the optimiser of all trainings.
        average: what the weights of all trainings become in the end, or None.
        transform: the change of all training batches, or None.
        recipe: how the target is learnt.
        augment: the augmentation of the target's images.
        source_augment: the augmentation of the sources' images.
        validation: share of the target's training images held out to steer.
        source_validation: the same share of a source's images.
        guesses: whether policies leave entries to be guessed.
    """

    experiment: Experiment
    trunks: tuple[TrunkPlan, ...]
    architecture: Architecture
    loss: Loss
    optimizer: Optimizer
    average: Average | None
    transform: Transform | None
    recipe: Recipe
    augment: Preset
    source_augment: Preset
    validation: float
    source_validation: float
    guesses: bool


def resolve(experiment: Experiment) -> Plan:
    """Make the parts that a description names, with their options.

    Raises:
        UserError: a part doesn't have such an option, images are too small for a backbone or its
            views, method and sources don't fit together, a frozen trunk has learnt nothing, a
            transform changes images where features are learnt from; or
            devices can't share batches.
    """
    _check_speed(experiment)
    trunks = make_plan(experiment.method, experiment.backbone, experiment.chains)
    recipe: Recipe = RECIPES.make(experiment.recipe)
    _check_blank(experiment)
    guessed = guesses(experiment.uncertain) or experiment.blank == GUESSED_BLANK
    if guessed and not recipe.guesses:
        recipe = RECIPES.load(SELF_TRAINING)(base=str(recipe))
    if recipe.freezes and not experiment.random_trunk:
        check_frozen(trunks)
    backbones = tuple(BACKBONES.make(trunk.backbone) for trunk in trunks)
    views: Views = VIEWS.make(experiment.views)
    views.check(size := experiment.image_size)
    seen = views.seen(size)
    for backbone in backbones:
        backbone.check(seen, "--image-size" if seen == size else "side of --views")
    head: Head = HEADS.make(experiment.head)
    if experiment.features and head.strides:
        raise UserError(
            f"--head {head} chooses the trunk's maps itself. Received: --features "
            f"{','.join(experiment.features)}. Leave --features out, or give --head gap."
        )
    transform = TRANSFORMS.make(experiment.transform) if experiment.transform else None
    if transform and transform.images and recipe.freezes and head.pooled:
        raise UserError(
            f"--transform {transform} changes images; --recipe {recipe} learns from features, "
            "computed once. Leave --transform out, or give --recipe finetune."
        )
    fraction = experiment.validation_fraction
    plan = Plan(
        experiment=experiment,
        trunks=trunks,
        architecture=Architecture(
            backbones,
            head,
            size,
            experiment.inputs,
            experiment.dropout,
            experiment.seed,
            views,
            experiment.features,
        ),
        loss=LOSSES.make(experiment.loss),
        optimizer=OPTIMIZERS.make(experiment.optimizer),
        average=AVERAGES.make(experiment.average) if experiment.average else None,
        transform=transform,
        recipe=recipe,
        augment=PRESETS.make(experiment.augment or recipe.augment).within(seen / size),
        source_augment=PRESETS.make(experiment.augment or SOURCE_AUGMENT).within(seen / size),
        validation=recipe.validation if fraction is None else fraction,
        source_validation=SOURCE_VALIDATION if fraction is None else fraction,
        guesses=guessed,
    )
    if experiment.taught_by and not recipe.takes_rows:
        raise UserError(
            f"--recipe {recipe} learns from the target's own images alone. Received: --source-rows "
            f"{experiment.source_rows[0]}. Leave --source-rows out, or give --recipe finetune or "
            "frozen."
        )
    _check_optimizer(plan)
    recipe.check(plan)
    return plan


def _check_blank(experiment: Experiment) -> None:
    """Refuse a weight of what isn't learnt from."""
    if experiment.blank_weight != 1 and experiment.blank != "zeros":
        raise UserError(
            f"--blank-weight weighs blanks that mean absent. Received: --blank-weight "
            f"{experiment.blank_weight:g}, --blank {experiment.blank}. Give --blank zeros, or "
            "leave --blank-weight out."
        )


def _check_optimizer(plan: Plan) -> None:
    """Refuse one beside a loss that brings its own."""
    usual = OPTIMIZERS.make(Experiment.model_fields["optimizer"].default)
    if plan.optimizer == usual:
        return
    with runtime.quietly():  # a loss that brings one imports Keras
        own = plan.loss.optimizer()
    if own is not None:
        raise UserError(
            f"--loss {plan.loss} brings an optimiser of its own. Received: --optimizer "
            f"{plan.optimizer}. Leave --optimizer out."
        )


def _check_speed(experiment: Experiment) -> None:
    """Refuse what devices can't share."""
    devices = experiment.devices
    if experiment.batch_size % devices:
        raise UserError(
            "--batch-size must be a multiple of --devices, so that each gets as many images. "
            f"Received: --batch-size {experiment.batch_size}, --devices {devices}."
        )
    # Keras asks the first device alone whether the gradients of all are finite.
    on_tensorflow = runtime.backend() == runtime.TENSORFLOW
    if experiment.precision == "float16" and devices > 1 and on_tensorflow:
        raise UserError(
            "Keras on tensorflow can't scale the loss of float16 on several devices. Received: "
            f"--precision float16, --devices {devices}. Give --precision bfloat16, or set "
            "KERAS_BACKEND=jax."
        )
