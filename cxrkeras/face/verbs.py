"""Prepare, cross-validate, load, build: the verbs of the command line as functions."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrkeras.face.errors import in_arguments, names_arguments
from cxrkeras.face.films import PathLike, admitted
from cxrkeras.face.model import Model
from cxrkeras.face.old_arguments import formerly
from cxrkeras.runs.experiment import OPTIONS
from data_prep.errors import UserError
from data_prep.say import say

if TYPE_CHECKING:
    import keras

    from cxrkeras.training.begin import Run
    from data_prep.dataset.prepare import Summary


@names_arguments
@formerly(size="image_size")
def prepare(
    images: PathLike,
    labels: PathLike,
    out: PathLike,
    *,
    name: str | None = None,
    labels_from: Sequence[str] | None = None,
    findings_column: str | None = None,
    image_column: str | None = None,
    patient_column: str | None = None,
    study_column: str | None = None,
    sex_column: str | None = None,
    age_column: str | None = None,
    view_column: str | None = None,
    split_column: str | None = None,
    encoding: str | None = None,
    citation: str = "",
    views: str = "all",
    findings: PathLike = "own",
    exclude: Sequence[PathLike] = (),
    limit: int | None = None,
    seed: int = 0,
    image_size: int = 512,
    pad: bool = False,
    stretch: tuple[float, float] | None = None,
    near: bool = True,
    merge_patients: bool = True,
    key_file: PathLike | None = None,
    public: bool = False,
    hash_names: bool = False,
    linkage: PathLike | None = None,
    verify: bool = False,
    workers: int | None = None,
    **admission: Any,
) -> "Summary":
    """Prepare a folder of films and a table of labels into a dataset, as `cxrkeras prep table`.

    How the table was understood is printed on standard error. After a kill the same call resumes.

    Args:
        images: folder of DICOM, PNG, JPEG or TIFF files.
        labels: CSV or TSV with one header line and a row for each image.
        out: new folder for the dataset, or one that the same call began.
        name: of the dataset; the name of `out` by default.
        labels_from: the label columns; found by their values by default.
        findings_column: the column of findings such as `Mass|Effusion`.
        image_column: the column that names the image; found by its name by default, as are
            `patient_column`, `study_column`, `sex_column`, `age_column`, `view_column` and
            `split_column`.
        patient_column: column of the patient.
        study_column: column of the examination.
        sex_column: column of the sex.
        age_column: column of the age.
        view_column: column of the view.
        split_column: column of the split.
        encoding: of the table, if it isn't detected.
        citation: what to cite for these data.
        views: `all`, `frontal` or `lateral`: the films to keep.
        findings: the names of the labels: `own`, as the table has them; `ours`, those of the
            vocabulary that all archives share; or a TOML file that comes over it.
        exclude: lists of images to leave out, one file name per line.
        limit: take only a sample of about this many images: whole patients.
        seed: random seed of that sample.
        image_size: side of the prepared square images, 16 to 4096 pixels.
        pad: keep the aspect ratio and pad to a square, instead of stretching to it.
        stretch: percentiles (low, high) that become black and white.
        near: also look for near-duplicates.
        merge_patients: treat two patient numbers that share a copy of one film as one person.
        key_file: file with the pseudonyms' secret key; created if missing. By default
            `CXRKERAS_KEY_FILE`, or `identity.key` in your config folder.
        public: a public archive: keep identifiers as they are.
        hash_names: also name images that aren't DICOM by keyed hashes.
        linkage: private file outside `out` that records which file became which image.
        verify: read every image of a finished dataset, and restore damaged ones.
        workers: decoding processes, one per core by default; 0 decodes in this process, without
            its limits of memory and time.
        **admission: what is accepted as a film: `any_body_part`, `any_modality`, `min_side`,
            `max_pixels`, `max_memory`, `max_seconds`, as the options of these names.

    Returns:
        What the dataset holds: `out`, `description` (its `dataset.json`), `rejected` and
        `duplicates` (counters). It may be given wherever the dataset's folder is expected.

    Raises:
        UserError: nothing can be prepared, the table can't be used, or `out` holds something else.

    Example:
        >>> data = cxrkeras.prepare("films", labels="labels.csv", out="data/ours",
        ...                         image_size=64, workers=0)
        >>> data.description["labels"]
        ['Cardiomegaly', 'Effusion', 'Nodule', 'Pneumothorax']
    """
    from cxrkeras.registry import READERS
    from data_prep.dataset.make import make_dataset

    if not 16 <= image_size <= 4096:
        raise UserError(f"--image-size is 16 to 4096 pixels. Received: {image_size}.")
    reader = READERS.of(
        "table",
        {
            "labels": Path(labels),
            "labels_from": tuple(labels_from or ()),
            "findings_column": findings_column,
            "image_column": image_column,
            "patient_column": patient_column,
            "study_column": study_column,
            "sex_column": sex_column,
            "age_column": age_column,
            "view_column": view_column,
            "split_column": split_column,
            "encoding": encoding,
            "citation": citation,
        },
    )
    return make_dataset(
        reader,
        Path(images),
        Path(out),
        name=name,
        findings=os.fspath(findings),
        exclude=[Path(path) for path in exclude],
        limit=limit,
        seed=seed,
        key_file=None if key_file is None else Path(key_file),
        admission=admitted(admission),
        views=views,
        size=image_size,
        pad=pad,
        stretch=stretch,
        near=near,
        merge_patients=merge_patients,
        public=public,
        hash_names=hash_names,
        linkage=None if linkage is None else Path(linkage),
        verify=verify,
        workers=workers,
        tell=_tell,
    )


def _tell(text: str) -> None:
    say(in_arguments(text, inspect.signature(prepare).parameters))


def cross_validate(
    out: PathLike | None = None,
    *,
    config: PathLike | None = None,
    preset: str | None = None,
    **choices: Any,
) -> "Run":
    """Cross-validate one way of transferring, as `cxrkeras cv`: models, predictions, a report.

    After a kill the same call resumes. To make runs repeatable, the backend's operations are made
    deterministic for the rest of the process.

    Args:
        out: the run's folder; `runs/NAME` by default.
        config: a TOML file of choices, such as the `experiment.toml` of an earlier run; arguments
            override it.
        preset: `quick`, `cpu`, `gpu` or `study`: settings that all others go over.
        **choices: the settings below; None counts as not given. Paths may be given for texts.

    Returns:
        The run: `folder`, `experiment` and `metrics` (what its `metrics.json` holds). It may be
        given wherever the run's folder is expected, so `cxrkeras.load(run)` is its model.

    Raises:
        UserError: settings, data or sources can't be used, or the folder holds another run.

    Example:
        >>> run = cxrkeras.cross_validate(data="data/ours", backbone="mobilenet_v3_small",
        ...                               recipe="frozen", random_trunk=True, image_size=32,
        ...                               folds=2, epochs=1, out="runs/first")
        >>> sorted(run.metrics["per_label"])
        ['Cardiomegaly', 'Effusion', 'Nodule', 'Pneumothorax']
    """
    from cxrkeras.training.begin import run_choices

    given = {name: _plain(value) for name, value in choices.items() if value is not None}
    try:
        return run_choices(given, _path(out), _path(config), preset=preset)
    except UserError as error:
        known = {"out", "config", "preset", *OPTIONS}
        raise type(error)(in_arguments(str(error), known)) from error


def _path(value: PathLike | None) -> Path | None:
    return None if value is None else Path(value)


def _plain(value: Any) -> Any:
    """Paths as text, alone or in a list."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _with_fields() -> None:
    """Give `cross_validate` the options of `cv` to show, which `Experiment` says once."""
    fields = OPTIONS
    lines = [
        f"    {name}: {in_arguments(field.description, fields)} Default: {field.default!r}."
        for name, field in fields.items()
    ]
    cross_validate.__doc__ = (
        inspect.cleandoc(cross_validate.__doc__) + "\n\nSettings:\n" + "\n".join(lines) + "\n"
    )
    kept = [p for p in inspect.signature(cross_validate).parameters.values() if p.name != "choices"]
    kind = inspect.Parameter.KEYWORD_ONLY
    shown = [
        inspect.Parameter(name, kind, default=field.default, annotation=field.annotation)
        for name, field in fields.items()
    ]
    cross_validate.__signature__ = inspect.Signature([*kept, *shown])


_with_fields()


@names_arguments
def load(path: PathLike) -> Model:
    """Load a model to predict with; its weights are read when first needed.

    Args:
        path: a run of `cross_validate`, which acts as the ensemble of its folds; a model folder of
            `cxrkeras train`; or a `.keras` file with its `model.json` beside it.

    Returns:
        The model.

    Raises:
        UserError: it is something else, an unfinished run, or has files that don't fit together.

    Example:
        >>> model = cxrkeras.load("runs/first")
        >>> model.labels
        ('Cardiomegaly', 'Effusion', 'Nodule', 'Pneumothorax')
    """
    from cxrkeras.serving.predictor.read import read_card

    return Model(read_card(Path(path)))


@names_arguments
def ensemble(
    models: Sequence[PathLike],
    *,
    out: PathLike,
    combine: str = "mean",
    weights: Sequence[float] | None = None,
    select: str | None = None,
) -> Model:
    """Make one model of several, as `cxrkeras ensemble`.

    Args:
        models: two or more runs, model folders or ensembles, of any backbone and image size, with
            the same labels in any order.
        out: the model folder to be made, which holds all of them.
        combine: `mean` of the probabilities, `logits` (of their log odds), or `ranks`: of the ranks
            among each member's own out-of-fold scores, which aren't probabilities.
        weights: positive, one for each of the models; equal ones by default.
        select: `auroc` or `average_precision`: choose members and weights greedily for this macro
            score, on their out-of-fold predictions; the performance is then that of such a choice
            on folds that it hasn't seen.

    Returns:
        The model, as `load` gives it. Its operating points and calibration come from the members'
        out-of-fold predictions, where all are runs on the same images and folds.

    Raises:
        UserError: the models don't go together, or `out` isn't empty.

    Example:
        >>> both = cxrkeras.ensemble(["runs/first", "runs/first"], out="models/both")
        >>> both.labels
        ('Cardiomegaly', 'Effusion', 'Nodule', 'Pneumothorax')
    """
    from cxrkeras.serving.predictor.make import make_ensemble

    paths = [Path(model) for model in models]
    return Model(make_ensemble(paths, Path(out), combine, weights, select))


@names_arguments
def build(
    backbone: str | Sequence[str] = "densenet121",
    *,
    labels: Sequence[str] | int,
    head: str = "gap",
    inputs: Sequence[str] = ("image",),
    image_size: int = 512,
    dropout: float = 0.5,
    seed: int = 0,
) -> "keras.Model":
    """Build a network as cross-validation does, with random weights, as a plain `keras.Model`.

    Args:
        backbone: a name listed by `cxrkeras parts backbones`, optionally with options; several see
            the same image and share one head.
        labels: names of the outputs, of which only the number matters, or that number.
        head: a name listed by `cxrkeras parts heads`, optionally with options: `NAME:key=value`.
        inputs: the network's inputs: `image`, and any of `age`, `sex` and `view`.
        image_size: side of the images, in pixels.
        dropout: rate before the head, 0 to below 1.
        seed: seed of the weights; also sets the random state of Python, NumPy and Keras.

    Returns:
        A model from `image`, (N, S, S, 1) grey with values 0 to 255, to `probability`, (N, K). With
        further inputs it takes a dictionary, with each (N, 1): see `cxrkeras.data.inputs`.

    Raises:
        UserError: the backbone is unknown, images are too small for it, or labels or rate are
            invalid.

    Example:
        >>> net = cxrkeras.build("mobilenet_v3_small", labels=cxrkeras.labels.NIH14, image_size=64)
        >>> net.input_shape, net.output_shape
        ((None, 64, 64, 1), (None, 14))
    """
    from cxrkeras.runs.description import make_experiment
    from cxrkeras.training.plan import resolve

    if isinstance(labels, str | Mapping):
        raise UserError(f"--labels must be a list of names, or their number. Received: {labels!r}.")
    count = labels if isinstance(labels, int) else len(labels)
    if count < 1:
        raise UserError(f"A network needs at least one label. --labels received: {labels!r}.")
    backbones = (backbone,) if isinstance(backbone, str) else tuple(backbone)
    choices = {
        "method": "mixed" if len(backbones) > 1 else "regular",
        "backbone": backbones,
        "head": head,
        "inputs": list(inputs),
        "image_size": image_size,
        "dropout": dropout,
        "seed": seed,
    }
    plan = resolve(make_experiment(choices))
    from cxrkeras.models.network import TARGET, build_network

    return build_network(plan.architecture, {TARGET: count}).probability
