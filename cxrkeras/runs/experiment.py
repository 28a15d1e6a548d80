"""The description of a run: every choice with its default, checked, written and read as TOML."""

import hashlib
import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from cxrkeras.data.labels.label_sets import LABEL_SETS, TARGET, parse_label_sets
from cxrkeras.data.labels.uncertain import DEFAULT, parse_uncertain
from cxrkeras.data.preparation import LARGEST_SIDE
from cxrkeras.registry import BACKBONES, POLICIES, Registry
from cxrkeras.runs.sources import Dataset, Weights, parse_source
from data_prep.errors import UserError
from data_prep.filenames import is_utf8, printable
from data_prep.files import atomic_write_text

_Words = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
_Backbones = Annotated[
    _Words, AfterValidator(lambda texts: tuple(str(BACKBONES.make(text)) for text in texts))
]

VALIDATION = 0.15
_CONSENT = {"random_trunk"}  # allows a choice and changes nothing that is learned
_LARGEST_SEED = 4_000_000  # times 1000, plus a fold's number, still fits Keras's 32 bits


def _choice(
    default: Any, section: str, text: str, *, among: Registry | None = None, **rules: Any
) -> Any:
    """A field; `among` are the parts that its option names."""
    extra = {"section": section, "among": among}
    return Field(default, description=text, json_schema_extra=extra, **rules)


class Experiment(BaseModel):
    """One run. The defaults are the study's (SCIENCE: Huang et al. 2022) where it states them.

    The fields are the options of `cxrkeras cv` and the keys of `experiment.toml`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str | None = _choice(
        None, "What", "Prepared dataset of the target. Without it: the built-in phantoms."
    )
    method: Literal["regular", "mixed", "cotrain"] = _choice(
        "regular",
        "What",
        "regular: one trunk through a chain of sources; mixed: several trunks, features "
        "concatenated; cotrain: one trunk trained on several sources together.",
    )
    backbone: _Backbones = _choice(
        ("densenet121",),
        "What",
        "Trunk, NAME or NAME:key=value; for mixed one per trunk.",
        among=BACKBONES,
        min_length=1,
    )
    source: _Words = _choice(
        (),
        "What",
        "Where knowledge comes from: imagenet, FILE.keras, FILE.weights.h5 or NAME=DIR (a prepared "
        "dataset), joined by commas into a chain. None: random start.",
    )
    reuse: Literal["finetune", "layers"] = _choice(
        "finetune",
        "What",
        "finetune: all layers learn on the target; layers: the trunk is frozen, the head learns "
        "on standardised features that are computed once.",
    )
    random_trunk: bool = _choice(
        False, "What", "Freeze a trunk of random weights, which --reuse layers else refuses."
    )
    labels: _Words = _choice(
        (),
        "What",
        f"Labels to learn: one of {', '.join(LABEL_SETS)} for the target, NAME=SET for the source "
        "NAME. All that a dataset has by default.",
    )
    joint: Literal["heads", "merged"] = _choice(
        "heads",
        "What",
        "cotrain's outputs: one head per source, or one merged label space with masked entries.",
    )

    loss: Literal["bw_bce", "bw_bce_per_label", "bce"] = _choice(
        "bw_bce",
        "Learning",
        "Batch-weighted BCE, weights pooled over the batch or per label; or plain BCE.",
    )
    uncertain: str = _choice(
        DEFAULT,
        "Learning",
        f"What the code -1 means in training: {', '.join(POLICIES.names())}; or label by label, "
        "Atelectasis=ones,Edema=zeros, beside one for the rest (ones where none is given).",
    )
    blank: Literal["zeros", "ignore"] = _choice(
        "zeros", "Learning", "What a finding that is not mentioned means in training."
    )
    epochs: int = _choice(30, "Learning", "Epochs on the target.", ge=1)
    source_epochs: int | None = _choice(
        None, "Learning", "Epochs of each source stage; --epochs by default.", ge=1
    )
    batch_size: int = _choice(16, "Learning", "Images in a batch.", ge=1)
    learning_rate: float = _choice(1e-4, "Learning", "Adam's on the target.", gt=0)
    source_learning_rate: float = _choice(1e-4, "Learning", "Adam's in source stages.", gt=0)
    dropout: float = _choice(0.5, "Learning", "Dropout rate before the head.", ge=0, lt=1)
    plateau_patience: int = _choice(
        3,
        "Learning",
        "Epochs without a better validation loss until the rate falls; 0: never.",
        ge=0,
    )
    plateau_factor: float = _choice(
        0.1, "Learning", "What the rate is multiplied with on a plateau.", gt=0, lt=1
    )
    early_stopping: int = _choice(
        8,
        "Learning",
        "Epochs without a better validation loss until training ends; 0: never.",
        ge=0,
    )
    batch_norm: Literal["auto", "always", "never"] = _choice(
        "auto",
        "Learning",
        "Estimate batch-norm statistics anew after fitting; auto: where steps are few.",
    )
    augment: Literal["study", "light", "none"] | None = _choice(
        None, "Learning", "Augmentation preset; study by default, none with --reuse layers."
    )
    views: int = _choice(
        3,
        "Learning",
        "With --reuse layers and --augment: augmented copies of each image to compute features of.",
        ge=0,
    )

    image_size: int = _choice(
        512, "Images", "Side in pixels that the network sees.", ge=32, le=LARGEST_SIDE
    )

    folds: int = _choice(5, "Evidence", "Cross-validation folds.", ge=2)
    folds_file: str | None = _choice(
        None, "Evidence", "Folds of an earlier run (its folds.csv) instead of new ones."
    )
    test_fraction: float = _choice(
        0.0, "Evidence", "Share of the patients held out as a test set.", ge=0, lt=1
    )
    validation_fraction: float | None = _choice(
        None,
        "Evidence",
        "Share of the training part that steers the learning rate and early stopping; 0.15 by "
        "default, 0 with --reuse layers, where a small head needs every image more.",
        ge=0,
        lt=0.9,
    )
    seed: int = _choice(
        0,
        "Evidence",
        "Of folds, weights, order, dropout and augmentation.",
        ge=0,
        le=_LARGEST_SEED,
    )
    shuffle_labels: bool = _choice(
        False, "Evidence", "The leak test: training labels permuted; scores must fall to chance."
    )

    @field_validator("source")
    @classmethod
    def _parsable(cls, source: tuple[str, ...]) -> tuple[str, ...]:
        for text in source:
            parse_source(text)  # a UserError says what is wrong
        return source

    @field_validator("labels")
    @classmethod
    def _known_sets(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        parse_label_sets(labels)
        return labels

    @field_validator("uncertain")
    @classmethod
    def _known_policies(cls, uncertain: str) -> str:
        parse_uncertain(uncertain)
        return uncertain

    def labels_of(self, source: str = TARGET) -> tuple[str, ...] | None:
        """The labels to learn of a source, or of the target; None = all that it has."""
        chosen = parse_label_sets(self.labels).get(source)
        return None if chosen is None else LABEL_SETS[chosen]

    def located(self) -> "Experiment":
        """The same with absolute paths, so that the run folder finds its data from anywhere."""
        return self.model_copy(
            update={
                "data": self.data and str(Path(self.data).absolute()),
                "folds_file": self.folds_file and str(Path(self.folds_file).absolute()),
                "source": tuple(",".join(map(_located, parse_source(s))) for s in self.source),
            }
        )

    def placeless(self) -> dict[str, Any]:
        """The choices without the places of files: equal for a run whose data were moved."""
        by_file = dict.fromkeys(("folds", "test_fraction")) if self.folds_file else {}
        return {
            **self.model_dump(exclude=_CONSENT),
            **by_file,
            "data": None,
            "folds_file": self.folds_file is not None,
            "source": [[link.name for link in parse_source(text)] for text in self.source],
        }

    @property
    def target_augment(self) -> str:
        """The preset on the target."""
        return self.augment or ("none" if self.reuse == "layers" else "study")

    @property
    def target_validation(self) -> float:
        """The share on the target."""
        if self.validation_fraction is None:
            return 0.0 if self.reuse == "layers" else VALIDATION
        return self.validation_fraction

    @property
    def source_validation(self) -> float:
        """The share in source stages."""
        return VALIDATION if self.validation_fraction is None else self.validation_fraction

    @property
    def digest(self) -> str:
        """8 hex digits of the description."""
        choices = json.dumps(self.model_dump(exclude=_CONSENT), sort_keys=True)
        return hashlib.sha256(choices.encode()).hexdigest()[:8]


def _located(link: Weights | Dataset) -> str:
    if isinstance(link, Dataset):
        return f"{link.name}={link.folder.absolute()}"
    return link.where if link.where == "imagenet" else str(Path(link.where).absolute())


def make_experiment(choices: dict[str, Any]) -> Experiment:
    """Check a description.

    Args:
        choices: values by field name; absent fields take their defaults.

    Raises:
        UserError: naming the option, the rule and the value received.
    """
    try:
        experiment = Experiment(**choices)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise UserError(_unknown(str(first["loc"][0]))) from error
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UserError(f"{option}: {first['msg']}. Received: {first['input']!r}.") from error
    _check_named_sources(experiment)
    return experiment


def _check_named_sources(experiment: Experiment) -> None:
    links = [link for text in experiment.source for link in parse_source(text)]
    names = {link.name for link in links if isinstance(link, Dataset)}
    for name in parse_label_sets(experiment.labels):
        if name != TARGET and name not in names:
            raise UserError(
                f"--labels {name}=… names no dataset of --source. "
                f"There: {', '.join(sorted(names)) or 'none'}."
            )


def _unknown(name: str) -> str:
    near = get_close_matches(name, Experiment.model_fields, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`cxrkeras cv --help` lists the options."
    return f"A description's keys are the options of `cxrkeras cv`. Received: {name!r}. {hint}"


def read_choices(path: Path) -> dict[str, Any]:
    """Read a TOML file of choices, unchecked; `image-size` stands for `image_size`.

    Raises:
        UserError: for a file that is absent or no TOML.
    """
    try:
        choices = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too many digits or tables
        raise UserError(f"{path} is no TOML: {error}.") from error
    return {name.replace("-", "_"): value for name, value in choices.items()}


def read_experiment(path: Path) -> Experiment:
    """Read a TOML description; errors as in `read_choices` and `make_experiment`."""
    return make_experiment(read_choices(path))


def write_experiment(path: Path, experiment: Experiment) -> None:
    """Write everything resolved; `read_experiment` reads it back equal.

    Raises:
        UserError: a path isn't UTF-8, which TOML can't hold.
    """
    choices = {key: value for key, value in experiment.model_dump().items() if value is not None}
    text = tomli_w.dumps(choices)
    if not is_utf8(text):
        odd = next(line for line in text.splitlines() if not is_utf8(line))
        raise UserError(
            "A run's description is UTF-8, and so are the paths in it. "
            f"Received: {printable(odd)}. Rename that folder or file."
        )
    atomic_write_text(path, text)
