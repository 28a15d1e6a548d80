"""Weights files that claim too much: refused by what they declare, before memory is spent on it."""

import io
import json
import zipfile
from contextlib import contextmanager
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from cxrkeras.models.importing.files import _check_held, read_state
from cxrkeras.models.weights.bounds import WEIGHTS, check_script
from cxrkeras.models.weights.files import contents
from data_prep.errors import UserError
from tests.cxrkeras.models.importing.seeded import write_keras2

PLACE = "layers/dense/vars"


def small_model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")])


@pytest.fixture
def weights(tmp_path) -> Path:
    small_model().save_weights(tmp_path / "x.weights.h5")
    return tmp_path / "x.weights.h5"


def refusal(read, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_keras_wrote_is_within_all_bounds(weights, tmp_path):
    assert contents(weights).parameters == 15
    small_model().save(tmp_path / "x.keras")
    assert contents(tmp_path / "x.keras").parameters == 15
    trained = small_model()
    trained.compile("adam", "mse")
    trained.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    trained.save(tmp_path / "trained.keras")
    assert contents(tmp_path / "trained.keras").parameters == 15


def huge(group):
    """160 GB declared; nothing is written, and HDF5 gives zeros."""
    group.create_dataset("9", (40_000, 1_000_000), np.float32)


def many(group):
    """Each fits into the file; all together don't."""
    for number in range(30):
        group.create_dataset(f"n{number}", (1000,), np.float32)


def packed(group):
    group.create_dataset("9", data=np.zeros((1000, 1000)), compression="gzip")


def in_pieces(group):
    group.create_dataset("9", (1000, 1000), np.float32, chunks=(1000, 1000))


def linked(group):
    group["9"] = h5py.SoftLink("/layers")


def linked_in_a_circle(group):
    group["9"] = h5py.SoftLink(f"/{PLACE}/9")


def linked_outside(group):
    group["9"] = h5py.ExternalLink("/etc/hostname", "/")


def outside(group):
    group.create_dataset("9", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual(group):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    group.create_virtual_dataset("9", layout)


def in_itself(group):
    group["9"] = group.parent


def twice(group):
    group["9"] = group["0"]


def deep(group):
    for _ in range(60):
        group = group.create_group("g")


def objects(group):
    group.create_dataset("9", data=["one", "two"], dtype=h5py.string_dtype())


HARMS = [
    (huge, r"declares 160,000.0 MB and holds"),
    (many, r"declares .* MB and holds"),
    (packed, "neither compressed nor in pieces"),
    (in_pieces, "neither compressed nor in pieces"),
    (linked, "links aren't followed"),
    (linked_in_a_circle, "links aren't followed"),
    (linked_outside, "links aren't followed"),
    (outside, "outside of the file"),
    (virtual, "outside of the file"),
    (in_itself, "nothing stands in it twice"),
    (twice, "nothing stands in it twice"),
    (deep, "50 deep"),
    (objects, "its arrays hold numbers"),
]


@pytest.mark.parametrize(("harm", "why"), HARMS)
def test_a_weights_file_that_claims_too_much_is_refused(weights, harm, why):
    with h5py.File(weights, "r+") as file:
        harm(file[PLACE])
    with pytest.raises(UserError, match=why):
        contents(weights)
    refusal(contents, weights)


@pytest.mark.parametrize(("harm", "why"), HARMS)
def test_so_is_one_inside_an_archive(tmp_path, weights, harm, why):
    with h5py.File(weights, "r+") as file:
        harm(file[PLACE])
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.write(weights, WEIGHTS)
    with pytest.raises(UserError, match=why):
        contents(tmp_path / "x.keras")


@pytest.mark.parametrize(("harm", "why"), HARMS)
def test_and_one_of_keras_2(tmp_path, harm, why):
    write_keras2(tmp_path / "x.h5", {"a": ["a/kernel:0"]}, {"a/kernel:0": np.ones(2, np.float32)})
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["0"] = [1]
        harm(file.create_group("a/more") if harm is not twice else file)
    with pytest.raises(UserError, match=why):
        read_state(tmp_path / "x.h5")


@contextmanager
def archive(path: Path, kind=zipfile.ZIP_DEFLATED):
    small_model().save_weights(path.with_suffix(".weights.h5"))
    with zipfile.ZipFile(path, "w", kind) as file:
        file.write(path.with_suffix(".weights.h5"), WEIGHTS)
        yield file


def test_an_archive_that_unpacks_to_far_more_than_itself_is_refused(tmp_path):
    with archive(tmp_path / "x.keras") as file:
        file.writestr("assets/zeros", bytes(65_000_000))
    assert (tmp_path / "x.keras").stat().st_size < 200_000
    assert "would unpack to 65.0 MB" in refusal(contents, tmp_path / "x.keras")


def test_a_packed_archive_of_ordinary_weights_is_read(tmp_path):
    with archive(tmp_path / "x.keras") as file:
        file.writestr("config.json", json.dumps({"padding": "." * 100_000}))
    assert contents(tmp_path / "x.keras").parameters == 15


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_of_parts_that_keras_doesn_t_write_is_refused(tmp_path):
    with archive(tmp_path / "x.keras") as file:
        file.writestr("config.json", b" " * 33_000_000)
    assert "config.json has at most 32 MB" in refusal(contents, tmp_path / "x.keras")
    with archive(tmp_path / "y.keras") as file:
        file.writestr("config.json", "1")
        file.writestr("config.json", "2")
    assert "each of another name" in refusal(contents, tmp_path / "y.keras")
    with archive(tmp_path / "z.keras") as file:
        for number in range(1000):
            file.writestr(f"assets/{number}", "")
    assert "at most 1,000 parts" in refusal(contents, tmp_path / "z.keras")
    with zipfile.ZipFile(tmp_path / "npz.keras", "w") as file:
        file.writestr("model.weights.npz", "")
    assert "can't be read as such" in refusal(contents, tmp_path / "npz.keras")


def test_tensors_that_repeat_one_number_are_refused(tmp_path):
    (tmp_path / "x.pth").write_bytes(bytes(100))
    _check_held(1000, tmp_path / "x.pth")
    with pytest.raises(UserError, match="more than 10 times the file"):
        _check_held(1001, tmp_path / "x.pth")


def test_a_pytorch_archive_that_unpacks_to_far_more_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a.weight": torch.ones(1).expand(10_000, 10_000)}, tmp_path / "x.pth")
    assert "more than 10 times the file" in refusal(read_state, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(65_000_000))
    assert "would unpack to" in refusal(read_state, tmp_path / "y.pth")


NAMES = {"a": ["a/kernel:0"]}


def keras2(tmp_path: Path) -> Path:
    write_keras2(tmp_path / "x.h5", NAMES, {"a/kernel:0": np.ones(2, np.float32)})
    return tmp_path / "x.h5"


def test_layer_names_that_are_numbers_are_refused(tmp_path):
    path = keras2(tmp_path)
    for names in (5, [1, 2]):
        with h5py.File(path, "r+") as file:
            file.attrs["layer_names"] = names
        assert "can't be read as an HDF5 file of Keras 2 (ValueError)" in refusal(read_state, path)


def test_a_group_in_place_of_a_weight_and_an_array_in_place_of_a_layer_are_named(tmp_path):
    path = keras2(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["a/a/kernel:0"]
        file.create_group("a/a/kernel:0")
    assert "the weight 'a/kernel:0' of 'a' isn't an array" in refusal(read_state, path)
    with h5py.File(path, "r+") as file:
        del file["a"]
        file["a"] = [1.0]
    assert "the layer 'a' isn't a group" in refusal(read_state, path)
    with h5py.File(path, "r+") as file:
        del file["a"]
    assert "the layer 'a' isn't a group" in refusal(read_state, path)


def test_a_deeply_nested_architecture_is_no_obstacle(tmp_path):
    """Only the last activation is sought in it."""
    path = keras2(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "[" * 5000
    assert read_state(path).activation is None


@pytest.mark.parametrize("kind", ["S3", "V2", np.complex64])
def test_what_are_no_plain_numbers_is_refused(tmp_path, kind):
    write_keras2(tmp_path / "x.h5", NAMES, {"a/kernel:0": np.zeros(2, kind)})
    with pytest.raises(UserError, match="numbers"):
        read_state(tmp_path / "x.h5")


@pytest.mark.parametrize("facts", ["[" * 5000, "[1]", "5", "{", "NaN"])
def test_what_a_file_says_of_itself_is_a_table_or_nothing(weights, facts):
    with h5py.File(weights, "r+") as file:
        file.attrs["cxrkeras"] = facts
    assert contents(weights).facts is None


def test_damaged_bytes_anywhere_are_refused_or_read(weights):
    """Seeded; each byte that is flipped may be HDF5's own or a number."""
    whole, rng = weights.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        harmed = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            harmed[place] ^= 1 << int(rng.integers(8))
        weights.write_bytes(io.BytesIO(harmed).getvalue())
        try:
            contents(weights)
        except UserError as error:
            assert str(weights) in str(error)  # noqa: PT017 - either will do


def test_a_torchscript_program_is_refused_as_it_would_run(tmp_path):
    for name in ("data.pkl", "constants.pkl"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr(f"archive/{name}", b"x")
    check_script(tmp_path / "data.pkl")
    assert "TorchScript" in refusal(check_script, tmp_path / "constants.pkl")
