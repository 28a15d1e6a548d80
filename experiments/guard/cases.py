"""What is run with either code: one function per case, in the option names of the older code."""

from collections.abc import Callable
from pathlib import Path

from experiments.guard.sides import Side

SMALL = ["--image-size", 64, "--folds", 2, "--batch-size", 8]
TINY = ["--backbone", "mobilenet_v3_small", *SMALL, "--epochs", 1, "--source-epochs", 1]

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
{reuse} = ["{finetune}", "{layers}"]
[[setting]]
name = "A"
source = ["a"]
[[setting]]
name = "A + B"
method = "cotrain"
source = ["a", "b"]
"""

# What the exported files answer, and what they say of labels and thresholds.
ANSWERS = """
import io, json, sys
from pathlib import Path
import numpy as np
import onnxruntime
import tensorflow as tf
from PIL import Image
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
random = np.random.default_rng(0)
images = random.uniform(0, 255, (3, 64, 64, 1)).astype("float32")
def keep(name, values):
    said = {key: np.asarray(value) for key, value in values.items()}
    for key, value in said.items():
        if value.dtype.kind == "f":
            np.save(out / f"{name}-{key}.npy", value)
    words = {key: value.tolist() for key, value in said.items() if value.dtype.kind != "f"}
    # By name: the outputs of a signature come in another order in each process that reads them.
    text = json.dumps(words, indent=1, sort_keys=True, default=lambda value: value.decode())
    (out / f"{name}.json").write_text(text)
def png(grey):
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()
(saved,) = [path.parent for path in folder.rglob("saved_model.pb")]
served = tf.saved_model.load(str(saved))
keep("saved-model", served.signatures["serving_default"](image=tf.constant(images)))
films = [png(random.integers(0, 256, size, dtype="uint8")) for size in ((96, 96), (130, 80))]
keep("encoded", served.signatures["encoded"](image_bytes=tf.constant([*films, b"no picture"])))
(onnx,) = folder.rglob("*.onnx")
session = onnxruntime.InferenceSession(str(onnx))
asked = {session.get_inputs()[0].name: images}
names = [given.name for given in session.get_outputs()]
keep("onnx", dict(zip(names, session.run(names, asked))))
meta = session.get_modelmeta().custom_metadata_map
(out / "onnx-metadata.json").write_text(json.dumps(meta, indent=1, sort_keys=True))
"""


def tiny(side: Side, out: Path) -> None:
    """Chained, mixed and co-trained runs, smaller than a result would need."""
    a, b = f"a={phantoms(side) / 'hospital_a'}", f"b={phantoms(side) / 'hospital_b'}"
    ways = {
        "chained": ["--source", f"{a},{b}"],
        "mixed": ["--method", "mixed", "--source", a, "--source", b],
        "cotrain": ["--method", "cotrain", "--source", a, "--source", b],
    }
    for name, words in ways.items():
        side.verb("cv", "--data", phantoms(side) / "target", *TINY, *words, "--out", out / name)


def maps(side: Side, out: Path) -> None:
    """CAM and Grad-CAM of the chained run, of films that it hasn't seen; CAM of the mixed run."""
    films = sorted((phantoms(side) / "raw" / "a" / "dicom").glob("*.dcm"))[:4]
    how = ["--labels", "all", "--no-pictures"]
    for run, kind in (("chained", "cam"), ("chained", "gradcam"), ("mixed", "cam")):
        model = side.folder / "tiny" / run
        side.verb("explain", model, *films, *how, "--method", kind, "--out", out / f"{run}-{kind}")


def exports(side: Side, out: Path) -> None:
    """What the mixed run's folds answer as one SavedModel and one ONNX file."""
    formats = ["--format", "saved-model", "--format", "onnx"]
    mixed = side.folder / "tiny" / "mixed"
    side.verb("export", mixed, *formats, "--name", "guard", "--out", out / "exported")
    side.script(ANSWERS, out / "exported", out)


def study(side: Side, out: Path) -> None:
    """A study of four cells."""
    description = out / "description.toml"
    reuse, finetune = side.spelled("cv", ["--reuse", "finetune"])
    layers = side.spelled("cv", ["--reuse", "layers"])[1]
    words = {"reuse": reuse.removeprefix("--"), "finetune": finetune, "layers": layers}
    description.write_text(STUDY.format(data=phantoms(side), **words), encoding="utf-8")
    side.verb("study", description, "--out", out / "study")


def demo(side: Side, out: Path) -> None:
    """The demo of the README, with the built-in data, which each side makes itself."""
    side.verb("cv", "--backbone", "densenet121", "--method", "cotrain", "--out", out / "run")


def frozen(side: Side, out: Path) -> None:
    """A frozen Xception on real films, prepared anew, at 256 pixels."""
    films, data = side.work / "nih_target", out / "data"
    words = ["--images", films / "images", "--labels", films / "labels.csv", "--out", data]
    side.verb("prep table", *words)
    how = ["--backbone", "xception", "--source", side.work / "trunk.keras", "--reuse", "layers"]
    side.verb("cv", "--data", data, *how, "--image-size", 256, "--out", out / "run")


CASES: dict[str, Callable[[Side, Path], None]] = {
    "tiny": tiny,
    "maps": maps,
    "exports": exports,
    "study": study,
    "demo": demo,
    "frozen": frozen,
}
NEEDS = {"maps": "tiny", "exports": "tiny"}


def phantoms(side: Side) -> Path:
    """Where the films lie that both sides learn from."""
    return side.work / "phantoms"


def make_phantoms(before: Side) -> None:
    """Films that both sides learn from, made once, by the older code."""
    if not (phantoms(before) / "phantom.json").exists():
        how = ["--patients", 24, "--size", 96, "--out", phantoms(before)]
        before.verb("prep phantom", *how)


def missing(side: Side, case: str) -> str | None:
    """Why a case can't be run here, if it can't."""
    if case == "frozen" and not (side.work / "trunk.keras").is_file():
        return "it needs an Xception trunk: --trunk FILE.keras"
    if case == "frozen" and not (side.work / "nih_target").exists():
        return "it needs real films: CXRKERAS_REAL_DATA, a folder with nih_target/"
    needed = NEEDS.get(case)
    if needed and not side.ended(needed):
        return f"it needs {needed}, which didn't end here"
    return None


def run_case(side: Side, case: str) -> str:
    """Run a case, after the one that it needs; lines on how they went."""
    lines = []
    if case in NEEDS and not side.ended(NEEDS[case]):
        lines.append(run_case(side, NEEDS[case]))
    why = missing(side, case)
    if why:
        lines.append(f"{side.folder.name}: {case}: left out, {why}")
    else:
        lines.append(side.perform(case, CASES[case]))
    return "\n".join(lines)
