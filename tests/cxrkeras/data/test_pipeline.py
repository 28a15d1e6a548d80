"""Batches: the same pixels as the preparation's, the order, the masks, several parts together."""

import numpy as np
import pytest
from PIL import Image

from cxrkeras.data import pipeline
from cxrkeras.data.pipeline import Features, Images, Part, image_batches, labelled_batches
from cxrkeras.data.targets import MASKED
from data_prep.errors import UserError
from data_prep.pixels import to_square


@pytest.fixture
def pictures(tmp_path):
    """Paths and pixels of 7 smooth noisy images of 96 px."""
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.arange(96.0), np.arange(96.0))
    images = []
    for number in range(7):
        noisy = np.roll(slope, 9 * number, axis=0) + rng.normal(0, 30, (96, 96))
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
        Image.fromarray(images[-1]).save(tmp_path / f"{number}.png")
    return [str(tmp_path / f"{number}.png") for number in range(7)], images


def rows(n: int, width: int = 1, start: int = 0) -> Features:
    """Features whose first column is the row's number."""
    return Features(np.repeat(np.arange(start, start + n)[:, None], width, axis=1))


def part(head: str, n: int, labels: int, *, start: int = 0, epoch: int | None = None) -> Part:
    targets = np.tile(np.float32([1, 0])[np.arange(n) % 2, None], (1, labels))
    return Part(head, rows(n, start=start), np.arange(n), targets, epoch)


def seen(batches) -> list[list[int]]:
    return [inputs[:, 0].astype(int).tolist() for inputs, _ in batches.as_numpy_iterator()]


def joined(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("limit", [pipeline.RAM_LIMIT, 0])
@pytest.mark.parametrize("size", [96, 40, 12, 150])
def test_pixels_are_those_of_the_preparation(pictures, monkeypatch, size, limit):
    monkeypatch.setattr(pipeline, "RAM_LIMIT", limit)
    paths, originals = pictures
    images = Images(paths, size)
    assert (images.pixels is None) == (limit == 0)
    found = np.concatenate(list(image_batches(images, np.arange(7), 3).as_numpy_iterator()))
    assert found.shape == (7, size, size, 1)
    assert found.dtype == np.float32
    for image, original in zip(found[..., 0], originals, strict=True):
        expected = to_square(original / np.float32(255), size).astype(float)
        assert np.abs(image - expected).max() <= 1
        assert np.abs(image - expected).mean() < 0.02


def test_512_to_64_is_pillows_within_one_grey_level(tmp_path):
    original = np.random.default_rng(1).integers(0, 256, (512, 512), np.uint8)
    Image.fromarray(original).save(tmp_path / "x.png")
    theirs = Image.fromarray(original).resize((64, 64), Image.Resampling.BILINEAR)
    ours = Images([str(tmp_path / "x.png")], 64).take(np.array([0])).numpy()[0, ..., 0]
    assert np.abs(ours - np.asarray(theirs, float)).max() <= 1


def test_a_colour_png_is_read_as_grey(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(grey).convert("RGB").save(tmp_path / "x.png")
    found = Images([str(tmp_path / "x.png")], 16).take(np.array([0])).numpy()[0, ..., 0]
    assert np.abs(found - grey).max() <= 1


@pytest.mark.parametrize("limit", [pipeline.RAM_LIMIT, 0])
def test_a_missing_image_is_refused_before_anything_is_trained(pictures, monkeypatch, limit):
    monkeypatch.setattr(pipeline, "RAM_LIMIT", limit)
    with pytest.raises(UserError, match="1 of 8 prepared images are missing"):
        Images([*pictures[0], "nowhere/x.png"], 32)


def test_a_damaged_image_is_named(pictures):
    paths, _ = pictures
    with open(paths[4], "r+b") as file:
        file.truncate(200)
    with pytest.raises(UserError, match=r"damaged: .*4\.png\. Run the dataset's"):
        Images(paths, 32)


def test_images_come_in_the_order_asked_for(pictures):
    images = Images(pictures[0], 24)
    index = np.array([5, 0, 5, 2])
    found = np.concatenate(list(image_batches(images, index, 3).as_numpy_iterator()))
    np.testing.assert_array_equal(found, images.pixels.numpy()[index])


@pytest.mark.parametrize(("whole", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_one_part_is_seen_once_in_its_order(whole, sizes):
    batches = seen(labelled_batches([part("a", 10, 2)], 4, whole=whole))
    assert [len(batch) for batch in batches] == sizes
    assert joined(batches) == list(range(sum(sizes)))


def test_whole_keeps_the_only_batch_though_it_is_not_full():
    assert seen(labelled_batches([part("a", 3, 2)], 8, whole=True)) == [[0, 1, 2]]


def test_targets_stay_with_their_rows():
    given = part("a", 10, 2)
    for inputs, targets in labelled_batches([given], 4, shuffle=3).as_numpy_iterator():
        index = inputs[:, 0].astype(int)
        np.testing.assert_array_equal(targets["a"], given.targets[index])


def test_a_part_of_some_rows_of_a_dataset():
    some = np.array([3, 8, 5])
    given = Part("a", rows(10), some, np.float32([[0], [1], [0.5]]))
    (inputs, targets), *rest = labelled_batches([given], 4).as_numpy_iterator()
    assert not rest
    assert inputs[:, 0].tolist() == [3, 8, 5]
    assert targets["a"][:, 0].tolist() == [0, 1, 0.5]


def test_the_order_is_the_seeds_and_new_in_each_epoch():
    one = labelled_batches([part("a", 40, 1)], 8, shuffle=1)
    first, second = joined(seen(one)), joined(seen(one))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
    again = labelled_batches([part("a", 40, 1)], 8, shuffle=1)
    assert [joined(seen(again)), joined(seen(again))] == [first, second]
    assert joined(seen(labelled_batches([part("a", 40, 1)], 8, shuffle=2))) != first


def test_an_epoch_may_be_a_part_of_the_rows():
    batches = labelled_batches([part("a", 40, 1, epoch=10)], 4, shuffle=1)
    first, second = joined(seen(batches)), joined(seen(batches))
    assert len(first) == len(set(first)) == 12  # whole batches of 4
    assert first != second


def test_parts_stand_side_by_side_and_the_shorter_starts_again():
    parts = [part("a", 10, 2), part("b", 4, 3, start=100)]
    batches = list(labelled_batches(parts, 3).as_numpy_iterator())
    assert len(batches) == 4  # the longest part's
    shown = [inputs[:, 0].astype(int).tolist() for inputs, _ in batches]
    assert shown[0] == [0, 1, 2, 100, 101, 102]
    longer = joined([batch[:3] for batch in shown])
    assert longer[:10] == list(range(10))
    assert joined([batch[3:] for batch in shown]) == [100, 101, 102, 103] * 3


def test_heads_that_do_not_learn_from_a_row_are_masked():
    parts = [part("a", 6, 2), part("b", 6, 3)]
    for _, targets in labelled_batches(parts, 2, shuffle=0).as_numpy_iterator():
        assert list(targets) == ["a", "b"]
        assert targets["a"].shape == (4, 2)
        assert targets["b"].shape == (4, 3)
        assert (targets["a"][2:] == MASKED).all()
        assert (targets["b"][:2] == MASKED).all()
        assert (targets["a"][:2] >= 0).all()
        assert (targets["b"][2:] >= 0).all()


def test_parts_of_one_head_share_its_targets():
    parts = [part("merged", 4, 2), part("merged", 4, 2, start=50)]
    inputs, targets = next(labelled_batches(parts, 2).as_numpy_iterator())
    assert list(targets) == ["merged"]
    assert inputs[:, 0].tolist() == [0, 1, 50, 51]
    assert (targets["merged"] >= 0).all()


def test_streamed_batches_equal_those_from_memory(pictures, monkeypatch):
    def batches():
        images = Images(pictures[0], 20)
        given = Part("a", images, np.array([6, 1, 2, 4]), np.float32([[0], [1], [1], [0]]))
        return list(labelled_batches([given], 3, shuffle=5).as_numpy_iterator())

    kept = batches()
    monkeypatch.setattr(pipeline, "RAM_LIMIT", 0)
    for (inputs, targets), (others, other_targets) in zip(kept, batches(), strict=True):
        np.testing.assert_array_equal(inputs, others)
        np.testing.assert_array_equal(targets["a"], other_targets["a"])
