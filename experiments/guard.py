"""What a change of the structure must not change: the same commands, the same bytes.

Run: python -m experiments.guard COMMIT [--only demo,study] [--trunk FILE.keras] [--work DIR]

Runs every case with the code of COMMIT (in a work tree of its own) and with the code here, each
with a cache of its own, and compares what they wrote: predictions, metrics, operating points,
folds, heat maps, and what exported models answer. What COMMIT gave is kept in DIR (a temporary
folder by default) and reused. The case `frozen` needs real films (CXRKERAS_REAL_DATA) and a file
with an Xception trunk (--trunk); without them it is left out, and said. All cases take about a
quarter of an hour on two cores, most of it for the demo, which runs twice.

Exit code 1 where anything differs; how far numbers lie apart is said.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--image-size", "64", "--folds", "2", "--batch-size", "8"]
TINY = ["--backbone", "mobilenet_v3_small", *SMALL, "--epochs", "1", "--source-epochs", "1"]
COMPARED = ("predictions.csv", "test_predictions.csv", "metrics.json", "operating_points.json")
COMPARED += ("folds.csv", "study.csv", "explained.csv", "*.npy")
VOLATILE = {"seconds", "version"}  # of a JSON file

STUDY = """
[run]
data = "{data}/target"
image-size = 64
folds = 2
epochs = 1
source-epochs = 1
batch-size = 8
[source]
a = "{data}/hospital_a"
b = "{data}/hospital_b"
[grid]
backbone = ["mobilenet_v3_small"]
reuse = ["finetune", "layers"]
[[setting]]
name = "A"
source = ["a"]
[[setting]]
name = "A + B"
method = "cotrain"
source = ["a", "b"]
"""

ANSWERS = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime
import tensorflow as tf
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
images = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype("float32")
(saved,) = [path.parent for path in folder.rglob("saved_model.pb")]
served = tf.saved_model.load(str(saved))
answer = served.signatures["serving_default"](image=tf.constant(images))["probability"]
np.save(out / "saved-model.npy", answer.numpy())
(onnx,) = folder.rglob("*.onnx")
session = onnxruntime.InferenceSession(str(onnx))
name = session.get_inputs()[0].name
np.save(out / "onnx.npy", session.run(["probability"], {name: images})[0])
"""


class Tree:
    """A checkout whose code is run, and the folder that gets its results."""

    def __init__(self, code: Path, results: Path, data: Path):
        self.code, self.results, self.data = code, results, data
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(code),
            "CXRKERAS_CACHE": str(results / "cache"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def verb(self, *words: object) -> None:
        """`cxrkeras` with these words."""
        self.python("from cxrkeras.cli import main; main()", *words)

    def python(self, script: str, *words: object) -> None:
        """A script, with this tree's code."""
        command = [sys.executable, "-c", script, *map(str, words)]
        done = subprocess.run(
            command, cwd=self.code, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{self.code}: {' '.join(map(str, words))}\n{done.stderr[-2000:]}")


def demo(tree: Tree, out: Path) -> None:
    """The demo of the README."""
    tree.verb("cv", "--backbone", "densenet121", "--method", "cotrain", "--out", out)


def tiny(tree: Tree, out: Path) -> None:
    """Chained, mixed and co-trained runs, smaller than a result would need."""
    data = tree.data
    a, b = f"a={data / 'hospital_a'}", f"b={data / 'hospital_b'}"
    ways = {
        "chained": ["--source", f"{a},{b}"],
        "mixed": ["--method", "mixed", "--source", a, "--source", b],
        "cotrain": ["--method", "cotrain", "--source", a, "--source", b],
    }
    for name, words in ways.items():
        tree.verb("cv", "--data", data / "target", *TINY, *words, "--out", out / name)


def study(tree: Tree, out: Path) -> None:
    """A study of four cells."""
    description = out.with_suffix(".toml")
    description.write_text(STUDY.format(data=tree.data), encoding="utf-8")
    tree.verb("study", description, "--out", out)


def maps(tree: Tree, out: Path) -> None:
    """Heat maps of the chained run, by CAM, of films that it hasn't seen."""
    films = sorted((tree.data / "raw" / "a" / "dicom").glob("*.dcm"))[:4]
    run = tree.results / "tiny" / "chained"
    tree.verb("explain", run, *films, "--labels", "all", "--no-pictures", "--out", out)


def exports(tree: Tree, out: Path) -> None:
    """What the mixed run answers as SavedModel and as ONNX."""
    run, folder = tree.results / "tiny" / "mixed", out / "exported"
    formats = ["--format", "saved-model", "--format", "onnx"]
    tree.verb("export", run, *formats, "--name", "guard", "--out", folder)
    tree.python(ANSWERS, folder, out)


def frozen(tree: Tree, out: Path, trunk: Path, films: Path) -> None:
    """A frozen Xception on real films, at 256 pixels."""
    data = tree.results / "nih_target"
    words = ["--images", films / "images", "--labels", films / "labels.csv", "--out", data]
    tree.verb("prep", "table", *words)
    how = ["--backbone", "xception", "--source", trunk, "--reuse", "layers", "--image-size", 256]
    tree.verb("cv", "--data", data, *how, "--out", out)


CASES = {"tiny": tiny, "maps": maps, "exports": exports, "study": study, "demo": demo}


def differences(before: Path, after: Path) -> Iterator[str]:
    """A line per file that differs, or that one side lacks."""
    found = [
        {path.relative_to(folder) for name in COMPARED for path in folder.rglob(name)}
        for folder in (before, after)
    ]
    if not found[0]:
        yield f"{before.name}: nothing was written that can be compared"
    for path in sorted(found[0] ^ found[1]):
        yield f"{path}: only {'before' if path in found[0] else 'after'}"
    for path in sorted(found[0] & found[1]):
        one, other = (_content(folder / path) for folder in (before, after))
        if one != other:
            yield f"{path}: differs{_distance(before / path, after / path)}"


def _content(path: Path) -> object:
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_text(encoding="utf-8")))
    return path.read_bytes()


def _lasting(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lasting(part) for key, part in value.items() if key not in VOLATILE}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def _distance(before: Path, after: Path) -> str:
    if before.suffix != ".npy":
        return ""
    one, other = np.load(before), np.load(after)
    if one.shape != other.shape:
        return f": {one.shape} before, {other.shape} after"
    return f" by up to {np.abs(one - other).max():.1e}"


def record(tree: Tree, cases: dict, *, kept: bool) -> None:
    """Run the cases that have no result yet; none is kept of code that may have changed."""
    tree.results.mkdir(parents=True, exist_ok=True)
    for name, case in cases.items():
        out = tree.results / name
        if out.exists() and kept:
            print(f"{tree.code.name}: {name} was run before, kept", flush=True)
            continue
        print(f"{tree.code.name}: {name}", flush=True)
        case(tree, out)


def main() -> None:
    """Run both sides and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--only", help=f"of {', '.join(CASES)}, frozen")
    parser.add_argument("--trunk", type=Path, help="a file with an Xception trunk")
    parser.add_argument("--work", type=Path, help="a folder that keeps what the commit gave")
    options = parser.parse_args()
    cases = dict(CASES)
    films = Path(os.environ.get("CXRKERAS_REAL_DATA", "")) / "nih_target"
    if options.trunk and (films / "labels.csv").is_file():
        trunk = options.trunk.resolve()
        cases["frozen"] = lambda tree, out: frozen(tree, out, trunk, films.resolve())
    else:
        print("frozen: left out; it needs CXRKERAS_REAL_DATA and --trunk")
    if options.only:
        cases = {name: cases[name] for name in options.only.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        work = (options.work or Path(scratch)).resolve()
        sys.exit(_compare(options.commit, cases, work, Path(scratch)))


def _compare(commit: str, cases: dict, work: Path, scratch: Path) -> int:
    git = ["git", "-C", str(ROOT)]
    revision = subprocess.check_output([*git, "rev-parse", commit], text=True).strip()
    old = scratch / "before"
    subprocess.run([*git, "worktree", "add", "--detach", "--quiet", old, revision], check=True)
    data = work / "phantoms"
    try:
        before = Tree(old, work / revision[:12], data)
        if not data.exists():  # by the old code: both sides learn from the same images
            before.verb("prep", "phantom", "--patients", 24, "--size", 96, "--out", data)
        record(before, cases, kept=True)
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", old], check=True)
    after = Tree(ROOT, scratch / "after", data)
    record(after, cases, kept=False)
    found = [
        f"{name}/{line}"
        for name in cases
        for line in differences(before.results / name, after.results / name)
    ]
    print("\n".join(found) if found else f"the same to the byte: {', '.join(cases)}")
    return 1 if found else 0


if __name__ == "__main__":
    main()
