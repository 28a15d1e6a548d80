"""`import cxrkeras`: light, the same bytes as the verbs, and examples that run."""

import doctest
import functools
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import cxrkeras
from cxrkeras import runtime
from cxrkeras.cli import main
from cxrkeras.face import model as face_model
from cxrkeras.face.errors import in_arguments
from cxrkeras.registry import BACKBONES
from data_prep.phantom.write import write_phantoms
from tests.conftest import ROOT

SPACES = ("labels", "losses", "folds", "scores")
COLUMNS = ["image", "patient", "sex", "Cardiomegaly", "Effusion", "Nodule", "Pneumothorax"]
TINY = {
    "backbone": "mobilenet_v3_small",
    "recipe": "frozen",
    "random_trunk": True,
    "image_size": 32,
    "folds": 2,
    "epochs": 1,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with `films/` and `labels.csv`, from which everything here is called."""
    folder = tmp_path_factory.mktemp("face")
    raw = write_phantoms(folder / "raw", patients=10, seed=3, size=64, workers=0, progress=False)
    shutil.move(raw / "dicom", folder / "films")
    pd.read_csv(raw / "labels.csv", dtype=str)[COLUMNS].to_csv(folder / "labels.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CXRKERAS_CACHE", str(folder / "cache"))
        build_tiny(patch)
        yield folder


def build_tiny(patch):
    """Behind the name of the examples' backbone is a tiny one, whose networks are made quickly."""
    runtime.start()
    from tests.cxrkeras.backbones import tiny

    patch.setattr(BACKBONES.load(TINY["backbone"]), "build", tiny.Part.build)


@pytest.fixture(scope="module")
def ours(here):
    """The dataset and the run of the examples in `prepare` and `cross_validate`.

    What `load` gives for a text is kept, as all of the examples load that run.
    """
    for name in ("prepare", "cross_validate"):
        run_examples(getattr(cxrkeras, name), name)
    shutil.copy(sorted((here / "films").iterdir())[0], here / "films" / "one.dcm")
    with pytest.MonkeyPatch.context() as patch:
        kept = functools.wraps(cxrkeras.load)(functools.cache(cxrkeras.load))
        patch.setattr(cxrkeras, "load", kept)
        yield here


def run_examples(thing: object, name: str) -> int:
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, globs={"cxrkeras": cxrkeras})
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not runner.failures, "".join(said)
    return runner.tries


def public() -> dict[str, object]:
    """Everything that the face offers and that can have an example, by name."""
    found = {"cxrkeras": cxrkeras}
    for name in set(cxrkeras.__all__) - {"__version__", "UserError"}:
        found[name] = thing = getattr(cxrkeras, name)
        if name in SPACES:
            members = {f"{name}.{member}": getattr(thing, member) for member in thing.__all__}
            found |= {n: member for n, member in members.items() if callable(member)}
    for kind in (face_model.Model, face_model.Explained):  # its example has their attributes
        found[kind.__name__] = kind
        for name, member in vars(kind).items():
            if not name.startswith("_") and callable(member):
                found[f"{kind.__name__}.{name}"] = member
    return found


def child(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_is_light():
    """Ourselves and the standard library: what makes an import slow is another package."""
    said = child(
        "import sys; before = set(sys.modules); import cxrkeras; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*(new - set(sys.stdlib_module_names)))"
    )
    assert said == "cxrkeras"


def test_what_needs_no_keras_imports_none():
    said = child(
        "import sys, cxrkeras; "
        "cxrkeras.labels.NIH14, cxrkeras.folds.make_folds, cxrkeras.scores.evaluate; "
        "cxrkeras.prepare, cxrkeras.cross_validate, cxrkeras.load, cxrkeras.build; "
        "print(*(m for m in ('tensorflow', 'keras', 'jax') if m in sys.modules))"
    )
    assert said == ""


def test_every_name_is_there_and_no_other():
    assert set(cxrkeras.__all__) <= set(dir(cxrkeras))
    assert all(getattr(cxrkeras, name) is not None for name in cxrkeras.__all__)
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        cxrkeras.predict  # noqa: B018


@pytest.mark.parametrize("name", sorted(public()))
def test_the_examples_run(ours, name):
    thing = public()[name]
    if name in ("prepare", "cross_validate"):
        pytest.skip("run before everything else, by the fixture")
    if name == "Explained.overlay":
        pytest.skip("the class's own example has it")
    assert run_examples(thing, name), f"{name} has no example"


@pytest.mark.parametrize("name", sorted(public()))
def test_a_docstring_says_what_goes_in_and_what_comes_out(name):
    thing = public()[name]
    if not inspect.isfunction(thing):
        return
    text = inspect.getdoc(thing)
    assert "Returns:" in text
    taken = set(inspect.signature(thing).parameters) - {"self"}
    for argument in taken:
        assert f"{argument}" in text
    assert not taken or "Args:" in text


@pytest.mark.slow
def test_the_page_runs(ours, monkeypatch, tmp_path):
    monkeypatch.delattr(BACKBONES.load(TINY["backbone"]), "build")  # the tiny one
    monkeypatch.setenv("CXRKERAS_CACHE", str(tmp_path / "cache"))
    for part in ("films", "labels.csv"):
        copy = shutil.copytree if (ours / part).is_dir() else shutil.copy
        copy(ours / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    failures, tries = doctest.testfile(
        str(ROOT / "docs" / "python.md"), module_relative=False, encoding="utf-8"
    )
    assert tries > 10
    assert not failures


def verb(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert end.value.code == 0


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder but for journals, clocks and places."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".prepare" not in path.parts
    }


@pytest.mark.parametrize("words", ["own", "ours", Path("mine.toml")])
def test_prepare_hands_on_the_words_for_its_labels(monkeypatch, words):
    given = {}
    monkeypatch.setattr(
        "data_prep.dataset.make.make_dataset", lambda *_, **all_: given.update(all_)
    )
    cxrkeras.prepare("films", "labels.csv", "out", findings=words)
    assert given["findings"] == str(words)


def test_prepare_and_its_verb_make_the_same_bytes(ours):
    verb("prep", "table", "--images", "films", "--labels", "labels.csv", "--out", "verb/ours",
         "--image-size", 64, "--workers", 0)  # fmt: skip
    cxrkeras.prepare("films", "labels.csv", Path("face/ours"), image_size=64, workers=0)
    assert contents(ours / "face/ours") == contents(ours / "verb/ours")


def test_cross_validate_and_its_verb_make_the_same_bytes(ours):
    words = [f"--{k.replace('_', '-')}" for k in TINY if k != "random_trunk"]
    values = [v for k, v in TINY.items() if k != "random_trunk"]
    options = [word for pair in zip(words, values, strict=True) for word in pair]
    verb("cv", "--data", "data/ours", "--random-trunk", *options, "--out", "runs/verb")
    face, by_verb = contents(ours / "runs/first"), contents(ours / "runs/verb")
    assert face.keys() == by_verb.keys()
    for name in ("predictions.csv", "metrics.json", "operating_points.json", "experiment.toml",
                 "folds.csv", "folds/0/predictions.csv", "folds/1/model.json"):  # fmt: skip
        assert face[name] == by_verb[name], name


def test_predict_and_its_verb_make_the_same_bytes(ours):
    verb("predict", "runs/first", "films", "--out", "answers.csv", "--workers", 0)
    table = cxrkeras.load("runs/first").predict("films", workers=0)
    assert table.to_csv(index=False, lineterminator="\n") == Path("answers.csv").read_text()
    assert table.equals(cxrkeras.load("runs/first").predict([Path("films")], workers=0))


def test_one_file_that_cannot_be_read_keeps_its_reason(ours):
    table = cxrkeras.load("runs/first").predict(["films/one.dcm", "labels.csv", "gone"], workers=0)
    assert list(table["error"].astype(bool)) == [False, True, True]
    assert table["positive_Effusion"].isna().tolist() == [False, True, True]
    assert isinstance(table, pd.DataFrame)


@pytest.mark.slow
def test_a_model_folder_and_a_file_are_models_too(ours):
    by_folder, by_file = cxrkeras.load("runs/first/folds/0"), "runs/first/folds/0/model.keras"
    given = by_folder.predict("films/one.dcm", workers=0), cxrkeras.load(by_file).predict(
        "films/one.dcm", workers=0
    )  # fmt: skip
    assert given[0].equals(given[1])


def test_the_keras_model_gives_what_predict_gives(ours):
    model = cxrkeras.load("runs/first")
    told = model.explain("films/one.dcm", workers=0)
    table = model.predict("films/one.dcm", workers=0)
    network = model.keras_model()
    assert network.input_shape == (None, model.image_size, model.image_size, 1)
    columns = [f"prob_{label}" for label in model.labels]
    from cxrkeras.data.images import resized

    image = resized(told.film[..., None], model.image_size).numpy()[None]
    asked = network(image).numpy()
    assert asked[0] == pytest.approx(table[columns].to_numpy()[0].astype(float), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: cxrkeras.build("xception", labels=3, image_size=64), "Raise image_size="),
        (lambda: cxrkeras.build("exception", labels=3), "backbone= must be a backbone"),
        (lambda: cxrkeras.build(labels="nih14"), "labels= must be a list"),
        (lambda: cxrkeras.build(labels=[]), "labels= received"),
        (lambda: cxrkeras.prepare("films", "labels.csv", "films/out"), "out='films/out' lies"),
        (lambda: cxrkeras.prepare("films", "labels.csv", "o", stretch=(9, 1)), "stretch= needs"),
        (lambda: cxrkeras.prepare("films", "labels.csv", "o", patience=1), "argument 'patience'"),
        (lambda: cxrkeras.prepare("films", "l.csv", "o", size=9), "image_size= is 16 to 4096"),
        (lambda: cxrkeras.prepare("f", "l", "o", size=9, image_size=9), "Give image_size= alone"),
        (lambda: cxrkeras.cross_validate(image_size=3), "image_size=: "),
        (lambda: cxrkeras.build(head="fpn:width=64", labels=["a"]), "head='fpn' has no option"),
        (lambda: cxrkeras.cross_validate(image_sise=64), "Did you mean 'image_size'"),
        (lambda: cxrkeras.cross_validate(folds_file="f", folds=2), "leave folds= and"),
        (lambda: cxrkeras.load("nowhere"), "There is no model at nowhere"),
        (lambda: cxrkeras.load("runs/first").predict("x", calibrate="x"), "calibrate= is one of"),
        (lambda: cxrkeras.load("runs/first").explain("gone.dcm"), "no such file"),
    ],
)  # fmt: skip
def test_an_error_names_arguments(ours, call, named):
    with pytest.raises(cxrkeras.UserError) as error:
        call()
    assert named in str(error.value)
    assert "--" not in str(error.value)


def test_a_command_line_in_an_error_stays_one():
    text = "Raise --image-size. Finish it: cxrkeras cv --config a.toml --image-size 3"
    assert in_arguments(text, {"image_size"}) == (
        "Raise image_size=. Finish it: cxrkeras cv --config a.toml --image-size 3"
    )
    assert in_arguments("use --hash-names-not", {"hash_names"}) == "use --hash-names-not"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--head fpn has no option 'width'. Its", "head='fpn' has no option 'width'. Its"),
        (
            "Received: --image-size 64. Give --head gap.",
            "Received: image_size=64. Give head='gap'.",
        ),
        ("leave --out out, or --out x/y.csv can't", "leave out= out, or out='x/y.csv' can't"),
        ("(--source a,b=DIR) and --source: `--head`", "(source='a,b=DIR') and source=: `head=`"),
    ],
)
def test_a_value_stays_with_its_argument(text, named):
    assert in_arguments(text, {"head", "image_size", "out", "source"}) == named
