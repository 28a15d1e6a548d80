"""The pixel cache: the same bytes as without it, whatever became of files, processes and disk."""

import errno
import fcntl
import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cxrkeras.data import images as decoding
from cxrkeras.data import pixels as caching
from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.images import DECODER, Images
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part, labelled_batches
from cxrkeras.data.pixels import PixelCache, open_pixels
from tests.cxrkeras.data.pngs import up_png

SIDE = 24
ALL = np.arange(8)


@pytest.fixture
def paths(tmp_path) -> list[str]:
    """Of files that are decoded without libpng, and of all others: libpng's, colour, 16 bit, a
    JPEG, and images that are resized.
    """
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (side, side), np.uint8) for side in [SIDE] * 6 + [40, 16]]
    for number, pixels in enumerate(noise):
        path, image = tmp_path / f"{number}.png", Image.fromarray(pixels)
        if number == 2:
            image.save(path)
        elif number == 3:
            Image.merge("RGB", [image, image.rotate(90), image]).save(path)
        elif number == 4:
            Image.fromarray(pixels.astype(np.uint16) * 200).save(path)
        elif number == 5:
            image.save(path, "JPEG")
        else:
            path.write_bytes(up_png(pixels))
    return [str(tmp_path / f"{number}.png") for number in range(8)]


@pytest.fixture
def store(tmp_path, paths):
    """`store()` opens the cache, as another process would, with images in another order."""

    def opened(decoder: str = DECODER, rows=None) -> PixelCache:
        rows = ALL[::-1] if rows is None else rows
        return PixelCache(tmp_path / "pixels", paths, rows, SIDE, decoder)

    return opened


def batches(images: Images, epochs: int = 3) -> list[bytes]:
    part = Part("x", images, ALL, Targets(np.zeros((8, 1), np.float32)))
    found = labelled_batches([part], 3, shuffle=4, epochs=range(epochs))
    return [pixels.tobytes() for pixels, _ in found.as_numpy_iterator()]


@pytest.fixture
def expected(paths) -> np.ndarray:
    """(8, S, S, 1) uint8 of the files as they are at first."""
    if not _EXPECTED:
        _EXPECTED.append(Images(paths, SIDE).pixels.numpy())
    return _EXPECTED[0]


_EXPECTED: list[np.ndarray] = []  # decoded once for all tests


def fill(cache: PixelCache, paths) -> None:
    Images(paths, SIDE, None, cache).take(ALL)


def there(cache: PixelCache) -> dict[int, np.ndarray]:
    """What reading finds: in the files of the cache, and of `up_png`, which it decodes itself."""
    pixels, found, _, _ = cache.read(ALL)
    return dict(zip(found.tolist(), pixels, strict=True))


def test_batches_are_the_same_to_the_byte(paths, store, monkeypatch):
    kept = batches(Images(paths, SIDE))
    cache = store()
    assert batches(Images(paths, SIDE, None, cache)) == kept
    assert cache.read(ALL)[2].tolist() == []  # so the later epochs came from the files
    assert batches(Images(paths, SIDE, None, store())) == kept
    monkeypatch.setattr(decoding, "RAM_LIMIT", 0)
    assert batches(Images(paths, SIDE)) == kept


def test_what_is_stored_is_not_decoded_again(paths, store, monkeypatch, expected):
    fill(store(), paths)
    monkeypatch.setattr(caching, "up_filtered", lambda *_: pytest.fail("decoded again"))
    found = there(store())
    assert sorted(found) == ALL.tolist()
    np.testing.assert_array_equal([found[n] for n in ALL.tolist()], expected)


@pytest.mark.parametrize("number", [0, 2])
def test_a_file_replaced_under_the_same_name_size_and_time_is_decoded(paths, store, number):
    fill(store(), paths)
    before = os.stat(paths[number])
    other = np.asarray(Image.open(paths[number]))[::-1].copy()
    content = up_png(other)
    with open(paths[number], "r+b") as file:
        file.write(content)
        file.truncate()
    os.utime(paths[number], ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        cache = store()
        fill(cache, paths)
        np.testing.assert_array_equal(there(cache)[number][..., 0], other)


def damage(path, place: int, content: bytes | None) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(content) if content else file.truncate()


@pytest.mark.parametrize("suffix", ["pixels", "rows"])
@pytest.mark.parametrize("content", [b"\1", None])
@pytest.mark.parametrize("place", [0, 100])
def test_damaged_cut_and_empty_rows_are_decoded(
    tmp_path, paths, store, suffix, content, place, expected
):
    fill(store(), paths)
    damage(tmp_path / f"pixels.{suffix}", place, content)
    cache = store()
    taken = Images(paths, SIDE, None, cache).take(ALL)
    np.testing.assert_array_equal(taken.numpy(), expected)
    np.testing.assert_array_equal(np.stack(list(there(store()).values())), expected)


@pytest.mark.parametrize("writes", range(8))
def test_a_kill_at_any_write_leaves_only_whole_rows(paths, store, monkeypatch, writes, expected):
    """Each row takes three writes; the killed one wrote a part of what it should."""
    left, write = [writes], os.pwrite

    def killed(file, content, place):
        left[0] -= 1
        if left[0] < 0:
            write(file, content[: len(content) // 2], place)
            raise SystemExit
        return write(file, content, place)

    cache = store()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", killed)
        cache._made = {2: b"of another file".ljust(28)}

        def until_killed():
            cache.read(np.array([0, 1]))
            cache.store(np.array([2]), expected[2:3])

        with pytest.raises(SystemExit):
            until_killed()
    monkeypatch.setattr(caching, "up_filtered", lambda *_: None)
    found = there(store())
    assert len(found) == min(writes // 3, 2)  # those of whole records
    for number, pixels in found.items():
        np.testing.assert_array_equal(pixels, expected[number])


def test_a_row_that_another_process_overwrites_is_not_believed(paths, store, expected):
    one, other = store(), store()
    fill(one, paths)
    other._made = {2: b"of another file".ljust(28)}
    assert other.store(np.array([2]), np.zeros((1, SIDE, SIDE, 1), np.uint8)) == 1
    assert 2 not in there(one)
    taken = Images(paths, SIDE, None, one).take(ALL)
    np.testing.assert_array_equal(taken.numpy(), expected)


def test_many_fill_the_same_files_at_once(paths, store, expected):
    caches = [store() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        images = [Images(paths, SIDE, None, cache) for cache in caches]
        for found in pool.map(lambda n: images[n % 4].take(np.roll(ALL, n)).numpy(), range(40)):
            assert sorted(x.tobytes() for x in found.astype(np.uint8)) == sorted(
                x.tobytes() for x in expected
            )
    np.testing.assert_array_equal(np.stack(list(there(store()).values())), expected)


def test_nothing_is_written_while_another_process_writes(tmp_path, paths, store, capsys, expected):
    with open(tmp_path / "pixels.rows", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        cache = store()
        taken = Images(paths, SIDE, None, cache).take(ALL)
        np.testing.assert_array_equal(taken.numpy(), expected)
        assert (tmp_path / "pixels.rows").stat().st_size == 0
    fill(cache, paths)  # at the next try
    assert (tmp_path / "pixels.rows").stat().st_size == 8 * 32
    assert "kept" not in capsys.readouterr().err


def test_a_full_disk_is_said_once_and_images_are_decoded(paths, store, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    kept = batches(Images(paths, SIDE))
    assert batches(Images(paths, SIDE, None, store())) == kept
    said = capsys.readouterr().err
    assert said.count("no more can be kept (no space left on device)") == 1


def test_files_that_cannot_be_written_are_read(paths, store, monkeypatch, expected):
    some = [2, 5, 6]
    cache = store()
    Images(paths, SIDE, None, cache).take(np.array(some))
    opened = os.open

    def read_only(path, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    cache = store()
    taken = Images(paths, SIDE, None, cache).take(ALL)
    np.testing.assert_array_equal(taken.numpy(), expected)
    monkeypatch.setattr(caching, "up_filtered", lambda *_: None)
    assert sorted(there(cache)) == some


def test_another_decoder_matters_only_where_it_has_a_choice(paths, store, monkeypatch):
    fill(store("one"), paths)
    monkeypatch.setattr(caching, "up_filtered", lambda *_: None)
    assert sorted(there(store("another"))) == [0, 1, 2]


def test_a_missing_image_is_named(paths, store):
    images = Images(paths, SIDE, None, store())
    os.remove(paths[1])
    with pytest.raises(Exception, match=r"No such file.*1\.png"):
        images.take(ALL)


@pytest.fixture
def opened(tmp_path, prepared):
    def at(dataset=None, size=SIDE, share=1.0, folder=tmp_path / "caches"):
        dataset = load_dataset(prepared) if dataset is None else dataset
        return open_pixels(folder, dataset, size, share=share, decoder=DECODER)

    return at


def test_a_subset_shares_the_files_of_its_dataset(opened, prepared, monkeypatch, capsys):
    dataset = load_dataset(prepared)
    some = dataset.subset(np.array([False, True, False, True, True])).subset([0, 2])
    assert some.rows.tolist() == [1, 4]
    Images.of(dataset, SIDE, (), opened())
    whole = Images.of(dataset, SIDE, (), opened())
    pixels = whole.take(np.arange(5)).numpy()
    cache = opened(some.with_labels(dataset.labels[:1]))
    found, places, _, _ = cache.read(np.arange(2))
    assert places.tolist() == [0, 1]
    np.testing.assert_array_equal(found, pixels[[1, 4]])
    assert opened(size=32).path != cache.path
    said = capsys.readouterr().err
    assert "5 images of small at 24 px: pixels are kept in " in said
    assert "GB are free" in said


def test_another_content_has_other_files(opened, prepared):
    one = opened().path
    manifest = prepared / "manifest.csv"
    text = manifest.read_text()
    first = load_dataset(prepared).pictures[0, 0]
    manifest.write_text(text.replace(first, first[::-1]))
    assert opened().path != one


def test_no_room_is_said(opened, capsys):
    assert opened(share=0.0) is None
    said = capsys.readouterr().err
    assert "5 images of small at 24 px: decoded in every epoch. Their pixels take 0.0 GB" in said
    assert "--pixel-cache DIR" in said


def test_room_that_is_taken_already_is_not_asked_for_again(opened, prepared):
    cache = opened()
    Images.of(load_dataset(prepared), SIDE, (), cache).take(np.arange(5))
    assert opened(share=0.0) is not None


def test_a_folder_that_cannot_be_used_is_said(opened, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert opened(folder=tmp_path / "file" / "caches") is None
    assert "can't be used (not a directory)" in capsys.readouterr().err


def test_an_image_of_the_size_is_as_resizing_leaves_it():
    import tensorflow as tf

    rng = np.random.default_rng(3)
    for side in (1, 7, SIDE, 512):
        image = rng.integers(0, 256, (side, side, 1), np.uint8)
        there_and_back = tf.image.resize(image, (side, side), "bilinear", antialias=True)
        np.testing.assert_array_equal(tf.cast(tf.round(there_and_back), tf.uint8), image)
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0]).save(buffer, "PNG")
        np.testing.assert_array_equal(decoding.resized(image, side).numpy(), image)
