"""One call of `cxrkeras explain`: every film explained, pictured, scored; then the tables."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.boxes.known_boxes import KnownBoxes
from cxrkeras.evaluation.boxes.localisation import Case
from cxrkeras.evaluation.boxes.localisation_table import HEADER, as_json, as_text, rows, score
from cxrkeras.serving.explain import files
from cxrkeras.serving.explain.choice import choose
from cxrkeras.serving.explain.folder import begin
from cxrkeras.serving.explain.folds import Explainers, Explanation, at_side, cases_of, explain_films
from cxrkeras.serving.explain.inputs import Inputs
from cxrkeras.serving.explain.overlay import Heat
from cxrkeras.serving.explain.randomise import STAGES, Check, randomisation_check
from cxrkeras.serving.predict.film_names import hidden
from cxrkeras.serving.predict.films import FilmStream
from cxrkeras.serving.predict.told import Told, Unknown, as_arrays
from cxrkeras.serving.reporting.captures import Captures
from data_prep.filenames import printable
from data_prep.files import atomic_write_json, atomic_write_text
from data_prep.progress import Steps

CHECKED = 32  # images of a randomisation check
ALIKE = 0.8  # a rank correlation above which maps count as unchanged


@dataclass(frozen=True)
class Job:
    """What is wanted.

    Attributes:
        out: folder of the results.
        labels: K names, the model's.
        thresholds: (K,) operating points, NaN if there is none.
        origin: the rule they come from.
        wanted: labels to make pictures of, see `choice.choose`.
        opacity: of the highest value of a map, in [0, 1].
        pictures: whether to make them.
        tolerance: of the pointing game, pixels.
        check_seed: of the randomisation check; None for none.
        names: of each input's results.
        captures: what writes pictures as DICOM too; None for nothing.
    """

    out: Path
    labels: tuple[str, ...]
    thresholds: np.ndarray
    origin: str
    wanted: str
    opacity: float
    pictures: bool
    tolerance: float
    check_seed: int | None
    names: list[str]
    captures: Captures | None = None


@dataclass
class Outcome:
    """What came of it; `lines` are for the terminal."""

    lines: list[str] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    explained: int = 0


@dataclass
class _Gathered:
    rows: dict[int, list[tuple]] = field(default_factory=dict)
    boxes: dict[int, list[tuple]] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    squares: dict[int, np.ndarray] = field(default_factory=dict)
    folds: Counter = field(default_factory=Counter)
    told: dict[int, Told] = field(default_factory=dict, repr=False)
    learnt: int = 0
    hidden: int = 0


def carry_out(
    job: Job, explainers: Explainers, side: int, stream: FilmStream, inputs: Inputs
) -> Outcome:
    """Explain all inputs and write what `job` wants into its folder; nothing where none can be.

    Args:
        job: what is wanted.
        explainers: of the model.
        side: S that the model sees, pixels.
        stream: of the inputs' files as prepared squares, entered already.
        inputs: the files with what is known of them.

    Raises:
        UserError: the folder can't be used.
    """
    outcome, gathered = Outcome(refused=list(inputs.refused)), _Gathered()
    unknown = Unknown(explainers.extras)
    if job.captures:
        job.captures.of_map(explainers.way.method)
    with Steps("explained", len(inputs.files), shown=len(inputs.files) > 1) as steps:
        for told in explain_films(explainers, side, stream, inputs.own):
            if isinstance(told, Explanation):
                if not gathered.rows:  # from here on there is something to replace the old with
                    begin(job.out, _about(job, explainers, inputs))
                _keep(job, explainers, told, inputs, gathered)
                unknown.add(told.told)
            else:
                outcome.refused.append((told.path, told.reason))
            steps.step()
    outcome.explained = len(gathered.rows)
    if not gathered.rows:
        return outcome
    unknown.say()
    _write_tables(job, gathered, outcome)
    outcome.lines = list(_summary(explainers, gathered))
    if job.captures:
        outcome.lines.append(job.captures.line())
    if gathered.cases:
        outcome.lines += ["", *_localisation(job, gathered.cases)]
    if inputs.known is not None:
        outcome.lines += ["", _used(inputs.known, gathered.cases)]
    if job.check_seed is not None and gathered.squares:
        outcome.lines += ["", *_check(job, explainers, side, gathered)]
    return outcome


def _about(job: Job, explainers: Explainers, inputs: Inputs) -> dict:
    return {
        "kind": "explain",
        "method": explainers.way.method,
        "meaning": explainers.way.meaning,
        "why": explainers.way.why or "asked for",
        "unit": explainers.way.unit,
        "labels": list(job.labels),
        "grid": list(explainers.of(0).grid),
        "operating_point": job.origin,
        "image_size": inputs.preparation.image_size,
        "names": job.names,
        "maps": "maps/NAME.npy: (labels, rows, columns) float32; the cells tile the image. To "
        "enlarge a map, interpolate between the cells' centres (bilinear). The map of a model that "
        "looks at a part of the image is laid where that part is, and its mean then means nothing.",
        "score": _SCORES[explainers.logits],
        "boxes": "boxes.csv, in pixels of the prepared image (image_size): regions of the enlarged "
        "map, scaled to [0, 255], above 60 and above 180",
        **({"held": list(held), "held_at": _HELD} if (held := explainers.extras) else {}),
    }


_SCORES = {
    True: "explained.csv: the logit; for several models the mean of their logits, which isn't the "
    "logit of their mean probability",
    False: "explained.csv: what the model gives out, whose probabilities don't come from logits of "
    "their own (a hierarchy multiplies them); the maps are of that",
}
_HELD = (
    "what is known of each film, from its header, --table or the manifest, -1 where unknown: the "
    "maps show the image's part of a score alone"
)


def _keep(
    job: Job,
    explainers: Explainers,
    told: Explanation,
    inputs: Inputs,
    gathered: _Gathered,
) -> None:
    chosen = choose(job.wanted, job.labels, told.probability, job.thresholds)
    number, name = told.number, job.names[told.number]
    gathered.folds[told.fold] += 1
    gathered.learnt += told.learnt
    gathered.hidden += hidden(told.path, name)
    pictured = set(chosen) if job.pictures else set()
    gathered.rows[number] = files.explained_rows(name, told, job.labels, job.thresholds, pictured)
    gathered.boxes[number] = [
        row for k in chosen for row in files.box_rows(name, job.labels[k], k, told)
    ]
    files.write_maps(job.out, name, told)
    if job.pictures:
        heats = [_heat(job, explainers.way.unit, told, k, inputs) for k in chosen]
        note = f"{explainers.way.title} by {_who(explainers, told)}"
        note += ", plus the bias: the mean is the logit" if told.bias is not None else ""
        note += "; line: the upper 30 % of the range"
        note += f"; {', '.join(explainers.extras)} held" if explainers.extras else ""
        drawn = files.write_pictures(job.out, name, told, heats, job.opacity, note)
        if job.captures:
            job.captures.add(told.path, number, drawn, note)
    if inputs.known is not None:
        gathered.cases += cases_of(told, job.labels, inputs.known, inputs.patients[number])
    if job.check_seed is not None and len(gathered.squares) < CHECKED:
        gathered.squares[number] = told.square
        gathered.told[number] = told.told


def _who(explainers: Explainers, told: Explanation) -> str:
    if told.fold is not None:
        return f"the model of fold {told.fold}, which hasn't seen the film"
    return explainers.all + (", which learnt from the film" if told.learnt else "")


def _heat(job: Job, unit: str, told: Explanation, column: int, inputs: Inputs) -> Heat:
    label, threshold = job.labels[column], job.thresholds[column]
    return Heat(
        label=label,
        values=told.maps[column] + (0 if told.bias is None else told.bias[column]),
        probability=float(told.probability[column]),
        threshold=None if np.isnan(threshold) else float(threshold),
        origin=job.origin,
        unit=unit,
        known=inputs.known.on(told.path.name, label, 1) if inputs.known else None,
    )


def _write_tables(job: Job, gathered: _Gathered, outcome: Outcome) -> None:
    for name, header, parts in (
        ("explained.csv", files.EXPLAINED, gathered.rows),
        ("boxes.csv", files.BOXES, gathered.boxes),
    ):
        ordered = [row for number in sorted(parts) for row in parts[number]]
        files.write_table(job.out / name, header, ordered)
    if outcome.refused:
        refused = [(printable(file), reason) for file, reason in outcome.refused]
        files.write_table(job.out / "rejected.csv", ("file", "reason"), refused)


def _summary(explainers: Explainers, gathered: _Gathered) -> Iterator[str]:
    own = sum(count for fold, count in gathered.folds.items() if fold is not None)
    parts = [f"{gathered.folds[None]} by {explainers.whole}"] if gathered.folds[None] else []
    if own:
        parts.append(f"{own} out of fold, by the one model that hasn't seen them")
    count, way = sum(gathered.folds.values()), explainers.way
    yield f"{way.title} of {count} images: {'; '.join(parts) or 'none'}."
    if way.why:
        yield f"{way.title} because {way.why}."
    if gathered.hidden:
        count = gathered.hidden
        yield f"Results of DICOM films ({count}) bear a keyed hash: explained.csv tells the file."
    if explainers.extras:
        yield f"{', '.join(explainers.extras)} are held at {_HELD}."
    if gathered.learnt:
        yield (
            f"Warning: the model learnt from {gathered.learnt} of these images, unless they were "
            "held out as test: results for these, and the scores below, are too good."
        )


def _used(known: KnownBoxes, cases: list[Case]) -> str:
    used, total = sum(len(case.known) for case in cases), sum(map(len, known.of.values()))
    return (
        f"Known boxes: {used:,} of {total:,} in the table are on these images and of this model's "
        "labels."
    )


def _localisation(job: Job, cases: list[Case]) -> list[str]:
    scores = score(cases, job.labels, job.tolerance)
    text = as_text(scores, job.tolerance)
    files.write_table(job.out / "localisation.csv", HEADER, rows(scores))
    atomic_write_json(job.out / "localisation.json", as_json(scores))
    atomic_write_text(job.out / "localisation.txt", text)
    return text.splitlines()


def _check(job: Job, explainers: Explainers, side: int, gathered: _Gathered) -> list[str]:
    images = at_side(list(gathered.squares.values()), side)
    known = as_arrays(list(gathered.told.values()), explainers.extras)
    checks = randomisation_check(explainers.of(0), images, seed=job.check_seed, known=known)
    names = [gathered.rows[number][0][1] for number in gathered.squares]
    table = [
        (name, label, check.stage, f"{check.spearman[n, k]:.4f}", f"{check.ssim[n, k]:.4f}")
        for check in checks
        for n, name in enumerate(names)
        for k, label in enumerate(job.labels)
    ]
    header = ("name", "label", "randomised", "spearman", "ssim")
    files.write_table(job.out / "randomisation.csv", header, table)
    return [
        f"Randomisation check on {len(images)} images (Adebayo et al. 2018), 1 = the same map:",
        *(_check_line(check) for check in checks),
        *_warned(checks[0]),
    ]


def _warned(check: Check) -> list[str]:
    if not _median(check.spearman) > ALIKE:
        return []
    return [
        "  Warning: maps that hardly change with the head's weights don't show why this model "
        "decides as it does. Try another --map."
    ]


def _check_line(check: Check) -> str:
    rho, size = _median(check.spearman), _median(np.abs(check.spearman))
    return (
        f"  {STAGES[check.stage]}: median Spearman {rho:+.2f} (its size {size:.2f}), median SSIM "
        f"{_median(check.ssim):.2f}"
    )


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]  # a level map has no ranks
    return float(np.median(known)) if len(known) else float("nan")
