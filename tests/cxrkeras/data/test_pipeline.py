"""Batches: the same pixels as the preparation's, the order, the masks, several parts together."""

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kstest, uniform

from cxrkeras.data import images as decoding
from cxrkeras.data.images import Images
from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import (
    Features,
    Part,
    image_batches,
    labelled_batches,
    steps_per_epoch,
    three_way_labels,
)
from data_prep.errors import UserError
from data_prep.films.film import to_square


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
    return Part(head, rows(n, start=start), np.arange(n), Targets(targets), epoch)


def seen(batches) -> list[list[int]]:
    return [inputs[:, 0].astype(int).tolist() for inputs, _ in batches.as_numpy_iterator()]


def joined(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("limit", [decoding.RAM_LIMIT, 0])
@pytest.mark.parametrize("size", [96, 40, 12, 150])
def test_pixels_are_those_of_the_preparation(pictures, monkeypatch, size, limit):
    monkeypatch.setattr(decoding, "RAM_LIMIT", limit)
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


@pytest.mark.parametrize("limit", [decoding.RAM_LIMIT, 0])
def test_a_missing_image_is_refused_before_anything_is_trained(pictures, monkeypatch, limit):
    monkeypatch.setattr(decoding, "RAM_LIMIT", limit)
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
    one = part("a", 10, 2)
    for inputs, targets in labelled_batches([one], 4, shuffle=3).as_numpy_iterator():
        index = inputs[:, 0].astype(int)
        np.testing.assert_array_equal(targets["a"], one.targets.values[index])


def test_a_part_of_some_rows_of_a_dataset():
    some = np.array([3, 8, 5])
    one = Part("a", rows(10), some, Targets(np.float32([[0], [1], [0.5]])))
    (inputs, targets), *rest = labelled_batches([one], 4).as_numpy_iterator()
    assert not rest
    assert inputs[:, 0].tolist() == [3, 8, 5]
    assert targets["a"][:, 0].tolist() == [0, 1, 0.5]


def epochs_of(parts, batch_size, epochs: range, **how) -> list[list]:
    """The batches of each epoch, all their values as bytes."""
    batches = [
        [x.tobytes() for x in (inputs, *targets.values())]
        for inputs, targets in labelled_batches(
            parts, batch_size, epochs=epochs, **how
        ).as_numpy_iterator()
    ]
    steps = steps_per_epoch(parts, batch_size, whole=how.get("whole", False))
    assert len(batches) == steps * len(epochs)
    return [batches[n : n + steps] for n in range(0, len(batches), steps)]


def test_the_order_is_the_seeds_and_new_in_each_epoch():
    def order(epoch, seed):
        batches = labelled_batches(
            [part("a", 40, 1)], 8, shuffle=seed, epochs=range(epoch, epoch + 1)
        )
        return joined(seen(batches))

    first, second = order(0, 1), order(1, 1)
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
    assert [order(0, 1), order(1, 1)] == [first, second]
    assert order(0, 2) != first


@pytest.mark.parametrize(
    ("sizes", "batch_size", "first", "whole"),
    [
        pytest.param([7], 3, 1, False, marks=pytest.mark.slow),
        ([9], 2, 2, True),
        ([3, 10, 2], 4, 3, False),
        ([2, 1], 5, 0, False),
    ],
)
def test_later_epochs_go_on_where_earlier_ones_ended(sizes, batch_size, first, whole):
    """To the byte: order, the shorter part's new beginnings, and what is drawn from ranges."""
    parts = []
    for number, n in enumerate(sizes):
        targets = Targets(np.full((n, 2), 0.7, np.float32), np.full((n, 2), 0.15, np.float32))
        parts.append(Part(f"h{number}", rows(n), np.arange(n), targets, epoch=n - n // 4))
    how = {"shuffle": 3, "whole": whole}
    through = epochs_of(parts, batch_size, range(5), **how)
    assert len({batch[-1] for epoch in through for batch in epoch}) == 5 * len(through[0])
    halves = [epochs_of(parts, batch_size, r, **how) for r in (range(first), range(first, 5))]
    assert halves[0] + halves[1] == through


def test_every_order_is_equally_likely():
    """Pearson's statistic over the 24 orders of 4 rows, in 1200 epochs; 41.6 is its 99 % point."""
    batches = labelled_batches([part("a", 4, 1)], 4, shuffle=0, epochs=range(1200))
    orders, counts = np.unique(seen(batches), axis=0, return_counts=True)
    assert len(orders) == 24
    assert ((counts - 50) ** 2 / 50).sum() < 41.6


def test_an_epoch_may_be_a_part_of_the_rows():
    batches = seen(labelled_batches([part("a", 40, 1, epoch=10)], 4, shuffle=1, epochs=range(2)))
    first, second = joined(batches[:3]), joined(batches[3:])
    assert len(first) == len(set(first)) == 12  # whole batches of 4
    assert first != second


def drawn(epochs: range, seed: int | None = 5, rows_: int = 400) -> np.ndarray:
    """Targets of an entry in U-Ones+LSR, one in U-Zeros+LSR, a 1, a 0 and a masked one per row."""
    values = np.tile(np.float32([0.7, 0.15, 1, 0, MASKED]), (rows_, 1))
    spread = np.tile(np.float32([0.15, 0.15, 0, 0, 0]), (rows_, 1))
    one = Part("a", rows(rows_), np.arange(rows_), Targets(values, spread))
    batches = labelled_batches([one], 32, shuffle=seed, epochs=epochs)
    return np.concatenate([targets["a"] for _, targets in batches.as_numpy_iterator()])


def test_ranges_are_drawn_anew_in_each_epoch_and_again_from_the_same_seed():
    two = drawn(range(2))
    for column, (low, high) in enumerate([(0.55, 0.85), (0.0, 0.3)]):
        values = two[:, column]
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
        assert values.min() >= 0  # below it, an entry would be masked
        assert kstest(values, uniform(low, high - low).cdf).pvalue > 0.01
        assert len(np.unique(values)) > 790
    np.testing.assert_array_equal(two[:, 2:], np.tile([1, 0, MASKED], (800, 1)))
    np.testing.assert_array_equal(drawn(range(2)), two)
    np.testing.assert_array_equal(drawn(range(1, 2)), two[400:])
    assert (drawn(range(2), seed=6)[:, 0] != two[:, 0]).mean() > 0.99


def test_without_an_order_to_draw_a_range_is_its_middle():
    assert (drawn(range(1), seed=None) == np.float32([0.7, 0.15, 1, 0, MASKED])).all()


def test_parts_of_equal_size_are_shuffled_each_in_its_own_way():
    parts = [part("a", 30, 1), part("b", 30, 1)]
    (both,) = seen(labelled_batches(parts, 30, shuffle=1))
    assert both[:30] != both[30:]
    assert sorted(both[:30]) == sorted(both[30:])


def test_a_shorter_part_is_in_a_new_order_each_time_it_starts_again():
    parts = [part("a", 40, 1), part("b", 10, 1)]
    batches = seen(labelled_batches(parts, 10, shuffle=1))
    shorter = [tuple(batch[10:]) for batch in batches]
    assert [sorted(one) for one in shorter] == [list(range(10))] * 4
    assert len(set(shorter)) == 4


def test_labels_are_three_way_where_any_part_of_the_head_has_an_uncertain_entry():
    values = np.float32([[0, 1, 0], [1, MASKED, 0]])
    asked = values.copy()
    asked[1, 1] = UNCERTAIN_CLASS
    parts = [
        Part(h, rows(2), np.arange(2), Targets(v))
        for h, v in zip("aab", [values, asked, values], strict=True)
    ]
    found = {head: labels.tolist() for head, labels in three_way_labels(parts).items()}
    assert found == {"a": [False, True, False], "b": [False] * 3}


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


def test_weights_stand_beside_their_entries_in_all_parts_of_a_head():
    weights = np.float32([[0.5, 1], [1, 0.25]])
    parts = [
        Part("a", rows(2), np.arange(2), Targets(np.float32([[0, 1], [1, 0]]), weights=weights)),
        Part("a", rows(2), np.arange(2), Targets(np.float32([[1, 1], [0, 0]]))),
        part("b", 2, 3),
    ]
    _, targets = next(labelled_batches(parts, 2).as_numpy_iterator())
    assert targets["a"].shape == (6, 2, 2)
    assert targets["b"].shape == (6, 3)
    np.testing.assert_array_equal(targets["a"][:2, :, 1], weights)
    np.testing.assert_array_equal(targets["a"][:2, :, 0], [[0, 1], [1, 0]])
    assert (targets["a"][2:4, :, 1] == 1).all()
    assert (targets["a"][4:, :, 0] == MASKED).all()


def test_streamed_batches_equal_those_from_memory(pictures, monkeypatch):
    def batches():
        images = Images(pictures[0], 20)
        targets = Targets(np.float32([[0], [1], [1], [0]]))
        one = Part("a", images, np.array([6, 1, 2, 4]), targets)
        return list(labelled_batches([one], 3, shuffle=5).as_numpy_iterator())

    kept = batches()
    monkeypatch.setattr(decoding, "RAM_LIMIT", 0)
    for (inputs, targets), (others, other_targets) in zip(kept, batches(), strict=True):
        np.testing.assert_array_equal(inputs, others)
        np.testing.assert_array_equal(targets["a"], other_targets["a"])


@pytest.mark.parametrize("labelled", [False, True])
def test_autograph_rewrites_nothing(labelled):
    """It would take most of the first pipeline's time."""
    import tensorflow as tf

    class Choosing(Features):
        def take(self, index):
            return super().take(index) if tf.size(index) > 0 else None

    inputs, targets = Choosing(np.zeros((4, 1))), Targets(np.zeros((4, 1), np.float32))
    part = Part("x", inputs, np.arange(4), targets)
    with pytest.raises(TypeError, match=r"tf\.Tensor"):
        labelled_batches([part], 2) if labelled else image_batches(inputs, part.index, 2)


@pytest.mark.parametrize("further", [lambda batches: batches, lambda batches: batches.take(3)])
def test_no_iterator_waits_for_the_autotuner_to_wake(further):
    """Whatever `take`s of them or is put behind them."""
    part = Part("x", rows(4), np.arange(4), Targets(np.zeros((4, 1), np.float32)))
    for batches in (labelled_batches([part], 2), image_batches(part.inputs, part.index, 2)):
        assert further(batches).options().autotune.enabled is False
