"""The description of a run: every choice with its default, checked."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from cxrkeras.data.inputs import IMAGE, KNOWN, check_inputs
from cxrkeras.data.labels.label_sets import LABEL_SETS, TARGET, parse_label_sets
from cxrkeras.data.labels.uncertain import DEFAULT, parse_uncertain
from cxrkeras.data.preparation import LARGEST_SIDE
from cxrkeras.registry import (
    AVERAGES,
    BACKBONES,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    POLICIES,
    PRESETS,
    RECIPES,
    TRANSFORMS,
    VIEWS,
    Registry,
    spelled,
)
from cxrkeras.runs.sources import Chain, Dataset, RowSource, Weights, parse_rows, parse_source
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.data.dataset import PreparedDataset


def _numbers(value: Any) -> Any:
    """Read `20,40`, or several such; a number by itself is one."""
    values = value if isinstance(value, list | tuple) else (value,)
    split = (one.split(",") if isinstance(one, str) else (one,) for one in values)
    return tuple(word for words in split for word in words)


_Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
_Backbones = Annotated[
    _Words, AfterValidator(lambda texts: tuple(str(BACKBONES.make(text)) for text in texts))
]
_Optimizer = Annotated[str, AfterValidator(lambda text: str(OPTIMIZERS.make(text)))]
_Average = Annotated[str | None, AfterValidator(lambda text: text and str(AVERAGES.make(text)))]
_Views = Annotated[str, AfterValidator(lambda text: str(VIEWS.make(text)))]
_Epochs = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    BeforeValidator(_numbers),
    AfterValidator(lambda epochs: tuple(sorted(set(epochs)))),
]


def _maps(words: tuple[str, ...]) -> tuple[str, ...]:
    """Names of maps, each once; a stride in its shortest form."""
    maps = [word.strip() for word in words]
    if wrong := [word for word in maps if not re.fullmatch(r"[\w./-]+", word)]:
        raise UserError(
            "--features takes strides such as 16, and names of layers, joined by commas. Received: "
            f"{wrong[0]!r}."
        )
    return tuple(dict.fromkeys(str(int(word)) if word.isdecimal() else word for word in maps))


_Features = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: tuple(map(str, _numbers(value)))),
    AfterValidator(_maps),
]
_CONSENT = {"random_trunk", "pixel_cache", "preset"}  # change nothing that is learned
_SPEED = "Speed"
_RECORD = "Record"  # noted, not chosen: no option, only a key of experiment.toml
_MOST_SEEDS = 100
_LARGEST_SEED = 4_000_000  # and those after it, times 1000, plus a fold's number, fit 32 bits


def _choice(
    default: Any,
    section: str,
    text: str,
    *,
    parts: Registry | None = None,
    idle: Iterable[str] = (),
    later: bool = False,
    **rules: Any,
) -> Any:
    """A field.

    Args:
        default: the value if nothing is chosen.
        section: of the help text, in which the option is listed.
        text: what it is, for the help.
        parts: the registry, if the field names a part.
        idle: the caches to which it makes no difference, or only through what their own
            descriptions spell out: a source `stage`, the `features` of frozen trunks. A field is
            part of a cache's key unless it is declared idle here.
        later: whether earlier versions lacked it: their descriptions equal ours at its default.
        **rules: as `pydantic.Field` takes them.
    """
    extra = {"section": section, "parts": parts, "idle": frozenset(idle), "later": later}
    return Field(default, description=text, json_schema_extra=extra, **rules)


_BOTH = ("stage", "features")


class Experiment(BaseModel):
    """One run. The defaults are those of the study (Huang et al. 2022) where it states them.

    The fields are the options of `cxrkeras cv` and the keys of `experiment.toml`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str | None = _choice(
        None,
        "What",
        "Prepared dataset of the target; the built-in phantoms if not given.",
        idle=_BOTH,
    )
    method: Literal["regular", "mixed", "cotrain"] = _choice(
        "regular",
        "What",
        "How knowledge is transferred. regular: one trunk through a chain of sources; mixed: "
        "several trunks, their features concatenated; cotrain: one trunk trained on several "
        "sources together.",
        idle=_BOTH,
    )
    backbone: _Backbones = _choice(
        ("densenet121",),
        "What",
        "Backbone of the trunk; with --method mixed, one per trunk.",
        parts=BACKBONES,
        idle=_BOTH,
        min_length=1,
    )
    source: _Words = _choice(
        (),
        "What",
        "Where knowledge comes from: imagenet, FILE.keras, FILE.weights.h5 or NAME=DIR (a "
        "prepared dataset); commas join several into a chain. Random weights if not given.",
        idle=_BOTH,
    )
    source_rows: _Words = _choice(
        (),
        "What",
        "A prepared dataset whose images teach the target's head too: NAME=DIR, NAME=DIR:WEIGHT, "
        "or NAME=WEIGHT if --source gives it. Its images of the target's patients, and copies of "
        "the target's, are left out; it is never scored. WEIGHT (1 if not given) is how often one "
        "is drawn, for each time one of the target is.",
        idle=_BOTH,
        later=True,
    )
    head: str = _choice("gap", "What", "The layers on top of the trunks.", parts=HEADS, idle=_BOTH)
    features: _Features = _choice(
        (),
        "What",
        "The trunk's maps that the head pools, joined by commas: strides such as 16,32, or layers "
        "such as block13_sepconv2_act; of several, the features stand side by side. Each trunk's "
        "last map if not given.",
        later=True,
    )
    inputs: _Words = _choice(
        (IMAGE,),
        "What",
        f"The model's inputs, joined by commas: image, and any of {', '.join(KNOWN)}, which join "
        "the pooled features. What is blank in the prepared dataset is unknown to the model.",
        idle=_BOTH,
    )
    recipe: str = _choice(
        "finetune",
        "What",
        "How the target is learnt. finetune: train all layers; frozen: keep the trunk as it is "
        "and train the head on standardised features, computed once. Or a published system, whose "
        "choices all other options override (`cxrkeras parts recipes` lists them).",
        parts=RECIPES,
        idle=_BOTH,
    )
    preset: str | None = _choice(
        None,
        _RECORD,
        "The preset whose choices these are, but for those that were given: a published system's, "
        "or one for every day.",
        idle=_BOTH,
        pattern=r"^\w+$",
    )
    random_trunk: bool = _choice(
        False,
        "What",
        "Allow --recipe frozen with a trunk of random weights.",
        idle=_BOTH,
    )
    label_set: _Words = _choice(
        (),
        "What",
        f"Set of labels to learn: one of {', '.join(LABEL_SETS)} for the target, NAME=SET for the "
        "source NAME. All labels of the dataset if not given.",
        idle=_BOTH,
    )
    joint: Literal["heads", "merged"] = _choice(
        "heads",
        "What",
        "Outputs while co-training: one head per source, or one merged label space with masked "
        "entries.",
        idle=_BOTH,
    )

    loss: str = _choice(
        "bw_bce",
        "Learning",
        "What is minimised; bw_bce is batch-weighted BCE.",
        parts=LOSSES,
        idle=_BOTH,
    )
    transform: str | None = _choice(
        None,
        "Learning",
        "Random change of each training batch, such as mixup; none if not given.",
        parts=TRANSFORMS,
        idle=_BOTH,
    )
    uncertain: str = _choice(
        DEFAULT,
        "Learning",
        f"What the code -1 (uncertain) means in training: {', '.join(POLICIES.names())}. Label by "
        "label: Atelectasis=ones,Edema=zeros; a policy without a label applies to the rest (ones "
        "if not given).",
        idle=_BOTH,
    )
    blank: Literal["zeros", "ignore", "self_trained"] = _choice(
        "zeros",
        "Learning",
        "What a blank (finding not mentioned) means: absent; nothing; or in training what a model "
        "fitted without blanks predicts, and in scores nothing.",
        idle=("features",),
    )
    blank_weight: float = _choice(
        1.0,
        "Learning",
        "Weight in training of a blank that means absent, beside 1 of what is mentioned; 0 leaves "
        "it out. Scores count blanks in full.",
        idle=("features",),
        later=True,
        ge=0,
        le=1,
    )
    epochs: int = _choice(30, "Learning", "Number of epochs on the target.", idle=_BOTH, ge=1)
    source_epochs: int | None = _choice(
        None,
        "Learning",
        "Number of epochs of each source stage; --epochs if not given.",
        idle=_BOTH,
        ge=1,
    )
    batch_size: int = _choice(16, "Learning", "Images per batch.", idle=("features",), ge=1)
    learning_rate: float = _choice(
        1e-4, "Learning", "Learning rate on the target.", idle=_BOTH, gt=0
    )
    source_learning_rate: float = _choice(
        1e-4, "Learning", "Learning rate in source stages.", idle=("features",), gt=0
    )
    dropout: float = _choice(
        0.5, "Learning", "Dropout rate before the head.", idle=("features",), ge=0, lt=1
    )
    optimizer: _Optimizer = _choice(
        "adam",
        "Learning",
        "Optimiser of all trainings, as adam, adamw:weight_decay=0.05 or sgd:momentum=0.9; a loss "
        "may bring its own.",
        parts=OPTIMIZERS,
        idle=("features",),
        later=True,
    )
    average: _Average = _choice(
        None,
        "Learning",
        "Average of the weights in which all trainings end, as ema:decay=0.999 or swa:start=0.75; "
        "validation judges it too. None if not given, but for a small head that no validation part "
        "steers.",
        parts=AVERAGES,
        idle=("features",),
        later=True,
    )
    plateau_patience: int = _choice(
        3,
        "Learning",
        "Lower the learning rate after this many epochs without a better validation loss; 0: "
        "never.",
        idle=("features",),
        ge=0,
    )
    step_epochs: _Epochs = _choice(
        (),
        "Learning",
        "Lower the learning rate after these epochs, as 20,40, whatever the validation loss.",
        idle=("features",),
        later=True,
    )
    plateau_factor: float = _choice(
        0.1,
        "Learning",
        "Factor by which the learning rate is lowered.",
        idle=("features",),
        gt=0,
        lt=1,
    )
    early_stopping: int = _choice(
        8,
        "Learning",
        "Stop after this many epochs without a better validation loss; 0: never.",
        idle=("features",),
        ge=0,
    )
    batch_norm: Literal["auto", "always", "never"] = _choice(
        "auto",
        "Learning",
        "Estimate batch-norm statistics anew after training; auto: only after few steps.",
        idle=("features",),
    )
    augment: str | None = _choice(
        None,
        "Learning",
        "Augmentation preset; study if not given, or none with --recipe frozen.",
        parts=PRESETS,
        idle=_BOTH,
    )

    precision: Literal["float32", "bfloat16", "float16"] = _choice(
        "float32",
        _SPEED,
        "Numbers in which networks learn. Weights, losses, and the models that are scored, saved "
        "and predict stay float32.",
        later=True,
    )
    fast: bool = _choice(
        False,
        _SPEED,
        "Let the backend compile and choose its kernels for speed: a resumed or repeated run then "
        "ends with slightly other numbers.",
        later=True,
    )
    devices: int = _choice(
        1,
        _SPEED,
        "Devices that share each training batch; --batch-size stays that of all together.",
        later=True,
        idle=("features",),  # one device computes them
        ge=1,
    )

    image_size: int = _choice(
        512,
        "Images",
        "Side of the images that the network takes, in pixels.",
        ge=32,
        le=LARGEST_SIDE,
    )

    views: _Views = _choice(
        "whole",
        "Images",
        "What the trunks see of an image: the whole; centre:side=224, the crop in its middle; "
        "tencrop:side=224, in prediction the mean over ten crops.",
        parts=VIEWS,
        later=True,
    )

    pixel_cache: str = _choice(
        "auto",
        _SPEED,
        "Keep decoded images on disk: off, DIR, or auto: in the cache folder, if they neither fit "
        "in memory nor take more than half of the free space. Results are the same.",
        idle=_BOTH,
        min_length=1,
    )

    folds: int = _choice(5, "Evidence", "Cross-validation folds.", idle=_BOTH, ge=2)
    folds_file: str | None = _choice(
        None,
        "Evidence",
        "Use the folds of an earlier run (its folds.csv) instead of making new ones.",
        idle=_BOTH,
    )
    test_fraction: float = _choice(
        0.0, "Evidence", "Share of the patients to hold out as a test set.", idle=_BOTH, ge=0, lt=1
    )
    validation_fraction: float | None = _choice(
        None,
        "Evidence",
        "Share of the training images held out to steer the learning rate and early stopping; "
        "0.15 if not given, or 0 with --recipe frozen, since a small head needs every image.",
        idle=_BOTH,
        ge=0,
        lt=0.9,
    )
    seed: int = _choice(
        0,
        "Evidence",
        "Random seed of folds, weights, order, dropout and augmentation.",
        ge=0,
        le=_LARGEST_SEED,
    )
    seeds: int = _choice(
        1,
        "Evidence",
        "Trainings on the same folds, with --seed and the seeds after it; the run answers as their "
        "mean, and tells how far they lie apart.",
        idle=_BOTH,  # each training is described with a seed of its own
        later=True,
        ge=1,
        le=_MOST_SEEDS,
    )
    shuffle_labels: bool = _choice(
        False,
        "Evidence",
        "Leak test: permute the training labels; scores must fall to chance.",
        idle=_BOTH,
    )

    @field_validator(
        *(
            "backbone",
            "head",
            "recipe",
            "loss",
            "optimizer",
            "average",
            "transform",
            "augment",
            "views",
        ),
        mode="before",
    )
    @classmethod
    def _known_part(cls, value: Any, info: ValidationInfo) -> Any:
        registry = cls.model_fields[info.field_name].json_schema_extra["parts"]
        if isinstance(value, list | tuple):
            return tuple(_part(item, registry) for item in value)
        return value if value is None else _part(value, registry)

    @field_validator("inputs")
    @classmethod
    def _known_inputs(cls, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return check_inputs(inputs)

    @field_validator("source")
    @classmethod
    def _parsable(cls, source: tuple[str, ...]) -> tuple[str, ...]:
        for text in source:
            parse_source(text)  # a UserError says what is wrong
        return source

    @field_validator("source_rows")
    @classmethod
    def _parsable_rows(cls, source_rows: tuple[str, ...]) -> tuple[str, ...]:
        for text in source_rows:
            parse_rows(text)
        return source_rows

    @field_validator("label_set")
    @classmethod
    def _known_sets(cls, sets: tuple[str, ...]) -> tuple[str, ...]:
        parse_label_sets(sets)
        return sets

    @field_validator("uncertain")
    @classmethod
    def _known_policies(cls, uncertain: str) -> str:
        parse_uncertain(uncertain)
        return uncertain

    def labels_of(self, source: str = TARGET) -> tuple[str, ...] | None:
        """The labels to learn from a source, or from the target; None for all that it has."""
        chosen = parse_label_sets(self.label_set).get(source)
        return None if chosen is None else LABEL_SETS[chosen]

    def located(self) -> "Experiment":
        """The same description with absolute paths, so that data are found from any folder."""
        return self.model_copy(
            update={
                "data": self.data and str(Path(self.data).absolute()),
                "folds_file": self.folds_file and str(Path(self.folds_file).absolute()),
                "pixel_cache": _placed(self.pixel_cache),
                "source": tuple(",".join(map(_located, chain)) for chain in self.chains),
                "source_rows": tuple(map(_located_rows, map(parse_rows, self.source_rows))),
            }
        )

    def placeless(self) -> dict[str, Any]:
        """The choices without file locations, so that they stay equal when data are moved."""
        by_file = dict.fromkeys(("folds", "test_fraction")) if self.folds_file else {}
        rows = [[one.name, one.weight] for one in map(parse_rows, self.source_rows)]
        return {
            **self.model_dump(exclude=_CONSENT | self._usual),
            **by_file,
            **({"source_rows": rows} if rows else {}),
            "data": None,
            "folds_file": self.folds_file is not None,
            "source": [[link.name for link in chain] for chain in self.chains],
        }

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The sources, parsed."""
        return tuple(map(parse_source, self.source))

    @property
    def source_datasets(self) -> list[Dataset]:
        """The datasets among the sources, and those whose rows are learnt from."""
        return list(dict.fromkeys([*self._in_chains, *(dataset for dataset, _ in self.taught_by)]))

    @property
    def _in_chains(self) -> list[Dataset]:
        return [link for chain in self.chains for link in chain if isinstance(link, Dataset)]

    @property
    def taught_by(self) -> list[tuple[Dataset, float]]:
        """The datasets whose images teach the target's head too, with their weights, above 0.

        Raises:
            UserError: one is given twice, or in two places, or nowhere.
        """
        given, found = {link.name: link.folder for link in self._in_chains}, {}
        for one in map(parse_rows, self.source_rows):
            folder = given.get(one.name, one.folder)
            if folder is None:
                raise UserError(
                    f"--source-rows {one.name}={one.weight:g} needs a --source {one.name}=DIR. "
                    f"Given: {', '.join(given) or 'none'}. Or give --source-rows "
                    f"{one.name}=DIR:{one.weight:g}."
                )
            if one.name in found or (one.folder or folder).absolute() != folder.absolute():
                raise UserError(
                    f"A name is one dataset's, in --source and --source-rows alike. Received: "
                    f"{one.name} for two. Give one of them another name."
                )
            found[one.name] = Dataset(one.name, folder), one.weight
        return [(dataset, weight) for dataset, weight in found.values() if weight]

    def deciding(self, what: str) -> dict[str, Any]:
        """The choices that decide a `stage` or the `features`, except those that are idle there.
        Choices at their defaults are left out, so that a new field doesn't orphan what is cached.
        """
        fields = type(self).model_fields
        mine = {name for name, f in fields.items() if what not in f.json_schema_extra["idle"]}
        return self.model_dump(mode="json", include=mine, exclude_defaults=True)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the dataset that the recipe learns by, see `Recipe`."""
        return RECIPES.make(self.recipe).columns

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the dataset's folder that the recipe learns by, see `Recipe`."""
        return RECIPES.make(self.recipe).files

    def fingerprint_of(self, dataset: "PreparedDataset") -> str:
        """The content of a dataset, as far as it decides a fit to the target."""
        return dataset.fingerprint_with(self.inputs, self.columns, self.files)

    @property
    def digest(self) -> str:
        """8 hex digits of the description; what earlier versions lacked counts if it is chosen."""
        choices = json.dumps(self.model_dump(exclude=_CONSENT | self._usual), sort_keys=True)
        return hashlib.sha256(choices.encode()).hexdigest()[:8]

    @property
    def _usual(self) -> set[str]:
        """The choices at their defaults that earlier versions' descriptions lack."""
        return {
            name
            for name, field in type(self).model_fields.items()
            if field.json_schema_extra["later"] and getattr(self, name) == field.default
        }


OPTIONS = {
    name: field
    for name, field in Experiment.model_fields.items()
    if field.json_schema_extra["section"] != _RECORD
}
"""The fields that are options of `cxrkeras cv`."""


def _part(value: Any, registry: Registry) -> str:
    """A part's text in one spelling: `NAME` or `NAME:key=value,…`, from a text or a TOML table."""
    if isinstance(value, dict):
        options = dict(value)
        value = spelled(str(options.pop("name", "")), options)
    if not isinstance(value, str):
        raise UserError(f"{registry.argument} is NAME or NAME:key=value. Received: {value!r}.")
    name, (_, colon, rest) = registry.name_of(value), value.partition(":")
    return f"{name}{colon}{rest.strip()}"


def _placed(pixel_cache: str) -> str:
    return pixel_cache if pixel_cache in ("auto", "off") else str(Path(pixel_cache).absolute())


def _located(link: Weights | Dataset) -> str:
    if isinstance(link, Dataset):
        return f"{link.name}={link.folder.absolute()}"
    return link.where if link.where == "imagenet" else str(Path(link.where).absolute())


def _located_rows(rows: RowSource) -> str:
    if rows.folder is None:
        return f"{rows.name}={rows.weight}"
    return f"{rows.name}={rows.folder.absolute()}:{rows.weight}"
