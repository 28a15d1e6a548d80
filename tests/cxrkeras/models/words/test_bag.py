"""Histograms of words, the chi-squared map, and the file that holds a bag."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.metrics.pairwise import additive_chi2_kernel

from cxrkeras.models.words.bag import Bag, Vocabulary, load_bag, mapped_parts
from cxrkeras.models.words.sift import Grid, dense_sift
from data_prep.errors import UserError

LABELS, SIDE, WORDS = 3, 48, 7
RNG = np.random.default_rng(0)
IMAGES = np.float32(RNG.integers(0, 256, (2, SIDE, SIDE)))


@pytest.fixture(scope="module")
def bag():
    vocabulary = Vocabulary(np.float32(RNG.random((WORDS, 128))), Grid(6, (4, 8)), (1, 3))
    values = [np.float32(RNG.normal(size=LABELS)) for _ in range(3)]
    weights = np.float32(RNG.normal(size=(LABELS, 3, vocabulary.width)))
    return Bag(vocabulary, weights, *values)


def test_histograms_count_the_nearest_words_of_each_cell(bag):
    expected = np.zeros(bag.vocabulary.width)
    for descriptors, middles in dense_sift(IMAGES[0], bag.vocabulary.grid):
        for descriptor, (y, x) in zip(descriptors, middles, strict=True):
            word = np.linalg.norm(bag.vocabulary.words - descriptor, axis=1).argmin()
            expected[word] += 1
            cell = 3 * int(y / 47 * 3) + int(x / 47 * 3)
            expected[WORDS + cell * WORDS + word] += 1
    found = bag.vocabulary.histograms(IMAGES)
    np.testing.assert_allclose(found[0], expected / expected.sum(), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_map_is_scikit_learn_s_and_about_the_kernel():
    rows = np.float32(RNG.dirichlet(np.ones(1500), 5))  # of more than a part
    mapped = [part.reshape(5, 3, -1) for _, part in mapped_parts(rows)]
    assert len(mapped) > 1
    found = np.concatenate(mapped, axis=2).reshape(5, -1)
    np.testing.assert_allclose(found, AdditiveChi2Sampler(sample_steps=2).fit_transform(rows))
    # scikit-learn's kernel is -Σ(x - y)² / (x + y): for sums of 1, 2k(x, y) - 2
    kernel = 1 + additive_chi2_kernel(np.float64(rows)) / 2
    assert (found @ found.T / kernel > 0.89).all()  # with three features; least where x = y
    assert (found @ found.T / kernel < 1.01).all()


def test_scores_are_those_of_the_machines(bag):
    histograms = bag.vocabulary.histograms(IMAGES)
    mapped = AdditiveChi2Sampler(sample_steps=2).fit_transform(np.float64(histograms))
    decisions = mapped @ bag.weights.reshape(LABELS, -1).T.astype(float) + bag.bias
    expected = 1 / (1 + np.exp(-(bag.slope * decisions + bag.offset)))
    np.testing.assert_allclose(bag.scores(IMAGES[..., None]), expected, atol=1e-5)
    np.testing.assert_allclose(bag.scores(IMAGES[:1]), bag.scores(IMAGES)[:1], atol=1e-6)


@pytest.fixture
def file(bag, tmp_path):
    bag.save(tmp_path / "phow.safetensors")
    return tmp_path / "phow.safetensors"


def test_another_process_answers_the_same(bag, file, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from cxrkeras.models.words.bag import load_bag\n"
        "file = Path(sys.argv[1])\n"
        "images = np.load(file.with_name('images.npy'))\n"
        "np.save(file.with_name('said.npy'), load_bag(file, 3, 48).scores(images))\n"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "said.npy"), bag.scores(IMAGES))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weights", lambda x: x[:, :2]),
        ("weights", lambda x: np.float64(x)),
        ("words", lambda x: x[:, :64].copy()),
        ("words", lambda x: x[:0]),
        ("bias", lambda x: np.full_like(x, np.nan)),
        ("slope", lambda x: None),
        ("step", lambda x: np.zeros_like(x)),
        ("step", lambda x: np.float32(x)),
        ("bins", lambda x: np.array([40], np.int32)),
        ("levels", lambda x: np.array([99], np.int32)),
        ("levels", lambda x: x[:0]),
    ],
)
def test_what_does_not_fit_is_refused(file, name, change):
    tensors = load_file(file)
    changed = change(tensors.pop(name))
    save_file(tensors | ({} if changed is None else {name: changed}), file)
    with pytest.raises(UserError, match="isn't a bag of words"):
        load_bag(file, LABELS, SIDE)


def test_a_damaged_or_missing_file_is_refused(file):
    for content in (file.read_bytes()[:-9], b"", b"\xff" * 99):
        file.write_bytes(content)
        with pytest.raises(UserError, match="isn't a bag of words"):
            load_bag(file, LABELS, SIDE)
    file.unlink()
    with pytest.raises(UserError, match="isn't a bag of words"):
        load_bag(file, LABELS, SIDE)
