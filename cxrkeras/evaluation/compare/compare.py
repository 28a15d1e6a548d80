"""Compares runs on the same images: which is better, by how much, and with what certainty."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cxrkeras.evaluation.compare.align import align
from cxrkeras.evaluation.compare.correlation import rank_correlations
from cxrkeras.evaluation.compare.delong import paired_difference
from cxrkeras.evaluation.compare.intervals import LEVEL, RESAMPLES, SEED, Resampled, holm, resample
from cxrkeras.evaluation.compare.resampling import drawn_words, sampling_units
from cxrkeras.evaluation.compare.verdict import verdict
from cxrkeras.evaluation.evidence.doubts import constant_predictions, doubts_of_performance
from cxrkeras.evaluation.scores.counted import left_out
from cxrkeras.evaluation.scores.decisions import decided
from cxrkeras.evaluation.scores.predictions import Predictions
from data_prep.errors import UserError

SCORES = ("auroc", "average_precision")


def compare_predictions(
    named: Mapping[str, Predictions],
    *,
    reference: str | None = None,
    all_pairs: bool = False,
    common: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
    done: Callable[[], object] = lambda: None,
) -> dict:
    """Compare predictions for the same images, each with the reference or each with each.

    Whole patients are resampled (images where none is known), the same for every run, for the
    intervals of macro AUROC and average precision and of their differences. Each label's AUROCs are
    compared by DeLong's test (Obuchowski's where patients have several images), Holm-corrected over
    the labels of a pair. A macro difference is Holm-corrected over the pairs.

    Args:
        named: predictions by the names used in the result; two or more.
        reference: what the others are compared with; the first if None.
        all_pairs: compare each with each instead.
        common: keep only the images that all have, instead of refusing.
        resamples: of patients; 2 or more.
        seed: of the resamples; the same seed gives the same result.
        level: of the intervals, in (0, 1).
        done: called once for each resample.

    Returns:
        A JSON-ready dict: `images`, `patients` (0 where not known), `units` (patients, and images
        without one), `drawn` (what was resampled, in words), `labels`, `positives` {label: count},
        `level`, `resamples`, `seed`, `undefined_resamples` {label: in how many it had one class
        only, and the macro means went without it}, `notes`, `runs` {name: {score: {value, low,
        high}, `per_label` {label: {score: ...}}}} and `differences` [{`run`, `reference`, score:
        {value, low, high, p, p_holm}, `per_label` {label: {difference, low, high, p, p_holm}},
        `sentence`}], always the run minus the reference, and `correlations`, of each two runs, see
        `rank_correlations`. The scores are `auroc` and
        `average_precision`: the macro mean over the labels that have both classes. None where
        undefined.

    Raises:
        UserError: there are fewer than two, the reference is unknown, or labels, images or truth
            differ.
    """
    aligned, notes = align(named, common=common)
    names = list(aligned)
    if reference is not None and reference not in aligned:
        raise UserError(f"The reference is one of {', '.join(names)}. Received: {reference}.")
    probs = [p.prob for p in aligned.values()]
    first = aligned[names[0]]
    patients, patient_notes = _patients(aligned)
    unit = sampling_units(first.images, patients)
    units, known = int(unit.max()) + 1, len(set(patients) - {""})
    drawn = resample(
        first.truth, probs, unit, first.labels, resamples=resamples, seed=seed, done=done
    )
    result = {
        "images": len(first.images),
        "patients": known,
        "units": units,
        "drawn": drawn_words(known, units),
        "labels": list(first.labels),
        "positives": _by_label(first.labels, (first.truth == 1).sum(axis=0).tolist()),
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "undefined_resamples": drawn["auroc"].undefined(first.labels),
        "notes": [],
        "runs": {name: _run(r, first.labels, drawn, level) for r, name in enumerate(names)},
    }
    told = _doubts(result["runs"], aligned)
    told = [*_left_out_notes(first.labels), *told]
    result["notes"] = [*notes, *patient_notes, *_decision_notes(aligned), *told]
    pairs = _pairs(names, reference or names[0], all_pairs)
    differences = [_difference(i, j, names, aligned, unit, drawn, level) for i, j in pairs]
    for score in SCORES:
        for part, p in zip(differences, holm([d[score]["p"] for d in differences]), strict=True):
            part[score]["p_holm"] = p
    for part in differences:
        part["sentence"] = verdict(part, result, len(differences))
    return {**result, "differences": differences, "correlations": rank_correlations(aligned)}


def _patients(aligned: Mapping[str, Predictions]) -> tuple[tuple[str, ...], list[str]]:
    """The patients of the run that knows most of them, and notes on the others."""
    knowing = {name: p for name, p in aligned.items() if any(p.patients)}
    if not knowing:
        count = len(next(iter(aligned.values())).images)
        return ("",) * count, [
            "Patients unknown: every image counts as a patient of its own, so intervals are too "
            "narrow and p too small if a patient has several (`cxrkeras prep` and `evaluate` "
            "take --patient-column)."
        ]
    chosen = max(knowing, key=lambda name: sum(map(bool, knowing[name].patients)))
    units = {name: sampling_units(p.images, p.patients) for name, p in knowing.items()}
    whole = [name for name, p in knowing.items() if all(p.patients)]
    other = [n for n in whole if not _same_parts(units[n], units[chosen])]
    notes = [f"Patients are those of {chosen}; {', '.join(other)} has others."] if other else []
    return knowing[chosen].patients, notes


def _same_parts(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two numberings share out the images alike."""
    both = len(np.unique(np.stack([one, other]), axis=1).T)
    return both == len(np.unique(one)) == len(np.unique(other))


def _left_out_notes(labels: Sequence[str]) -> list[str]:
    return [f"The macro means go without {name}." for name in left_out(labels)]


def _decision_notes(aligned: Mapping[str, Predictions]) -> list[str]:
    notes = []
    for name, p in aligned.items():
        if labels := [p.labels[k] for k in decided(p.prob)]:
            notes.append(
                f"{name} holds 0/1 decisions of {', '.join(labels)}: their AUROC is the mean of "
                "sensitivity and specificity, usually below that of the scores behind them."
            )
    return notes


def _pairs(names: list[str], reference: str, all_pairs: bool) -> list[tuple[int, int]]:
    """(run, reference) places: the later against the earlier, or each against the reference."""
    if all_pairs:
        return [(j, i) for i in range(len(names)) for j in range(i + 1, len(names))]
    base = names.index(reference)
    return [(i, base) for i in range(len(names)) if i != base]


def _run(r: int, labels: tuple[str, ...], drawn: Mapping[str, Resampled], level: float) -> dict:
    return {
        **{score: drawn[score].of_macro(r, level) for score in SCORES},
        "per_label": {
            label: {score: drawn[score].of_label(r, k, level) for score in SCORES}
            for k, label in enumerate(labels)
        },
    }


def _doubts(runs: Mapping[str, dict], aligned: Mapping[str, Predictions]) -> list[str]:
    """What must be said about each run before its differences are believed."""
    told = []
    for name, run in runs.items():
        own = aligned[name]
        constant = constant_predictions(own.prob, own.labels, own.folds)
        doubts = doubts_of_performance({**run, "constant_predictions": constant})
        told += [f"{name}: {sentence}" for sentence in doubts.sentences]
    return told


def _difference(
    i: int,
    j: int,
    names: list[str],
    aligned: Mapping[str, Predictions],
    unit: np.ndarray,
    drawn: Mapping[str, Resampled],
    level: float,
) -> dict:
    run, reference = aligned[names[i]], aligned[names[j]]
    tests = [
        paired_difference(run.truth[:, k], run.prob[:, k], reference.prob[:, k], unit, level)
        for k in range(len(run.labels))
    ]
    corrected = holm([test["p"] for test in tests])
    per_label = [
        {"difference": t["value"], "low": t["low"], "high": t["high"], "p": t["p"], "p_holm": p}
        for t, p in zip(tests, corrected, strict=True)
    ]
    return {
        "run": names[i],
        "reference": names[j],
        **{score: drawn[score].of_difference(i, j, level) for score in SCORES},
        "per_label": _by_label(run.labels, per_label),
    }


def _by_label(labels: tuple[str, ...], values: list) -> dict:
    return dict(zip(labels, values, strict=True))
