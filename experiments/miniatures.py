"""Every published system in miniature on real films, through every verb: experiments/recipes.md.

    python -m experiments.miniatures --work DIR [NAME...]

Small images, one epoch, two folds: that a recipe runs, what it costs, how it reads; no score of
theirs is reproduced. Films come from CXRKERAS_REAL_DATA: `nih_target` to learn from and to be
answered, `nih_source` in the place of ImageNet and other sources. DIR keeps the data and, of each
system, the run and what came out; the same command goes on after a stop, and --again starts those
named anew. Exit code 1 where a verb failed.
"""

import argparse
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

from cxrkeras.registry import BACKBONES
from cxrkeras.runs.description import make_experiment, read_experiment
from cxrkeras.runs.presets import preset_line, preset_names, preset_text
from data_prep.files import atomic_write_json, atomic_write_text

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("CXRKERAS_REAL_DATA", ROOT.parent / "shared" / "data"))
RESULT = ROOT / "experiments" / "recipes.md"
SIDE, BATCH, FILMS, EXPLAINED = 64, 16, 20, 2
TARGET, SOURCE = 120, 96  # images, in whole patients
VERBS = ("cv", "report", "predict", "explain", "export")
INTRO = """# Published systems in miniature

Written by `python -m experiments.miniatures --work DIR` on {day}. Each system of `recipes/` was
cross-validated on {target} films of ChestX-ray14 in 2 folds, answered {films} films, explained
{explained} of them, and was exported to a SavedModel whose answers were compared with Keras's.
Where it starts from ImageNet or another source, it learnt from {source} other films of ChestX-ray14
first.

**Reading.** The scores say that a system runs from raw films to an export, and nothing else: it
learnt for one epoch from some sixty films, of {side} px at least. The published scores are of other
images, sizes and splits, so that none may be compared. Models that are told age, sex and view get
them from the archive's table. Cost: seconds of processor time, imports and source stage included,
beside other work on the machine.

| system | macro AUROC out of fold (95 %) | {verbs} | in place of |
| --- | --- | {rules} | --- |
"""
_UNSAID = {"data", "preset", "source", "source_epochs", "folds"}


def miniature(name: str, source: Path) -> list[str]:
    """The options that make a preset small, beside --recipe, --data and --out."""
    whole, preset = make_experiment({"recipe": name}), tomllib.loads(preset_text(name))
    seen = max(SIDE, *(BACKBONES.make(text).smallest() for text in whole.backbone))
    size, options = seen, []
    if crop := re.search(r"side=(\d+)", preset.get("views", "")):
        side = int(crop[1])
        size = math.ceil(seen * whole.image_size / side)
        options += ["--views", preset["views"].replace(crop[0], f"side={seen}")]
    if whole.source:
        options += ["--source", f"nih={source}", "--source-epochs", "1"]
    batch = min(BATCH, whole.batch_size)
    sizes = {"image-size": size, "epochs": 1, "folds": 2, "batch-size": batch}
    return [*options, *(word for key, value in sizes.items() for word in (f"--{key}", str(value)))]


def substituted(name: str, run: Path) -> str:
    """What a miniature changed, in words."""
    whole, small = make_experiment({"recipe": name}), read_experiment(run / "experiment.toml")
    said = [f"{SOURCE} films for {text}" for text in whole.source]
    for key in type(whole).model_fields.keys() - _UNSAID:
        was, now = getattr(whole, key), getattr(small, key)
        if was != now:
            said.append(f"{key.replace('_', ' ')} {now} for {was}")
    return "; ".join(sorted(said))


def words_of(name: str, work: Path) -> dict[str, list[str]]:
    """{verb: its arguments}."""
    run, raw = work / name / "run", REAL / "nih_target"
    films = [str(path) for path in sorted((raw / "images").glob("*.png"))[:FILMS]]
    data = str(work / "target")
    out = {verb: str(work / name / verb) for verb in VERBS}
    chosen = miniature(name, work / "source")
    known = make_experiment({"recipe": name}).inputs[1:]
    told = ["--table", str(raw / "labels.csv")] if known else []
    return {
        "cv": ["--recipe", name, "--data", data, *chosen, "--out", str(run)],
        "report": [str(run)],
        "predict": [str(run), *films, *told, "--out", f"{out['predict']}.csv"],
        "explain": [
            *(str(run), *films[:EXPLAINED], *told),
            *("--labels", "top3", "--out", out["explain"]),
        ],
        "export": [str(run), "--out", out["export"], "--name", "small"],
    }


def in_this_process(name: str, work: Path) -> None:
    """All verbs one after the other, so that imports cost once; notes each one's end."""
    from cxrkeras.cli import main

    ended, before = {}, 0.0
    for verb, words in words_of(name, work).items():
        try:
            main([verb, *words])
        except SystemExit as end:
            ended[verb] = {"code": end.code}
        now = _seconds()
        ended[verb]["seconds"], before = round(now - before, 1), now
        if verb == "cv" and ended[verb]["code"]:
            break
    atomic_write_json(work / name / "ended.json", ended)


def _seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def prepare(work: Path) -> None:
    """The two datasets, as `prep table` makes them; nothing is done twice."""
    for name, images in (("target", TARGET), ("source", SOURCE)):
        raw = REAL / f"nih_{name}"
        words = ["--images", raw / "images", "--labels", raw / "labels.csv", "--image-size", 256]
        words += ["--limit", images, "--public", "--out", work / name]
        driver = [sys.executable, "-c", "from cxrkeras.cli import main; main()", "prep", "table"]
        subprocess.run([*driver, *map(str, words)], check=True)


def run(name: str, work: Path) -> dict:
    """What came out of a system: how each verb ended, what it cost, and what it said."""
    place = work / name
    place.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "experiments.miniatures", "--work", str(work), "--here", name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    (place / "said.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    ended = place / "ended.json"
    return json.loads(ended.read_text(encoding="utf-8")) if ended.is_file() else {}


def _row(name: str, work: Path) -> str:
    ended = json.loads((work / name / "ended.json").read_text(encoding="utf-8"))
    metrics = work / name / "run" / "metrics.json"
    if not metrics.is_file():
        return f"| {name} | failed |" + " |" * (len(VERBS) + 1)
    pooled = json.loads(metrics.read_text(encoding="utf-8"))["macro"]["pooled"]
    within = pooled["auroc_interval"]
    score = f"{pooled['auroc']:.3f} ({within['low']:.3f} to {within['high']:.3f})"
    costs = [_cost(ended.get(verb)) for verb in VERBS]
    return (
        f"| `{name}` | {score} | {' | '.join(costs)} | {substituted(name, work / name / 'run')} |"
    )


def _cost(ended: dict | None) -> str:
    if not ended:
        return "–"
    return f"{ended['seconds']:.0f} s" + (" **failed**" if ended["code"] else "")


def write(work: Path, path: Path = RESULT) -> None:
    """Write the table of all systems that were run, then what was published of each."""
    done = [name for name in preset_names() if (work / name / "ended.json").is_file()]
    text = INTRO.format(
        day=date.today().isoformat(),
        target=_images(work / "target"),
        source=_images(work / "source"),
        films=FILMS,
        explained=EXPLAINED,
        side=SIDE,
        verbs=" | ".join(f"`{verb}`" for verb in VERBS),
        rules=" | ".join("---" for _ in VERBS),
    )
    rows = "\n".join(_row(name, work) for name in done)
    told = "\n".join(
        f"- `{name}`: {preset_line(name)} Published: {published(name)}" for name in done
    )
    atomic_write_text(path, f"{text}{rows}\n\n## What was published\n\n{told}\n")


def _images(folder: Path) -> int:
    return len((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()) - 1


def published(name: str) -> str:
    """A header's part on the published score and its split."""
    (part,) = re.findall(r"^# Published: (.*?)\n#\n", preset_text(name), re.DOTALL | re.MULTILINE)
    return " ".join(line.removeprefix("#").strip() for line in part.split("\n"))


def main() -> int:
    """Run what isn't done, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="systems; all by default")
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--again", action="store_true", help="start the named ones anew")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.work.absolute()
    if given.here:
        in_this_process(given.here, work)
        return 0
    prepare(work)
    failed = []
    for name in given.names or preset_names():
        if given.again:
            shutil.rmtree(work / name, ignore_errors=True)
        if not (work / name / "ended.json").is_file():
            ended = run(name, work)
            bad = [v for v in words_of(name, work) if ended.get(v, {"code": 1})["code"]]
            spent = sum(each["seconds"] for each in ended.values())
            print(f"{name}: {spent:.0f} s" + (f", failed: {', '.join(bad)}" if bad else ""))
            failed += [name] * bool(bad)
    write(work)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
