"""Chest films look like chest films; photographs, slices and noise don't."""

import numpy as np
import pytest
import skimage.data
from PIL import Image
from skimage.color import rgb2gray

from data_prep.films.film import read_film
from data_prep.films.looks import looks
from data_prep.phantom.write import write_phantoms

OTHER = ("astronaut", "brick", "camera", "cell", "coffee", "coins", "grass", "gravel", "moon")
OTHER += ("hubble_deep_field", "microaneurysms", "page", "retina", "text")


@pytest.mark.parametrize("name", OTHER)
def test_photographs_are_told_from_chest_films(name):
    picture = getattr(skimage.data, name)()
    assert looks(rgb2gray(picture) if picture.ndim == 3 else picture / 255)


def test_noise_and_shapes_are_told_from_chest_films():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    assert "rough" in looks(rng.random((300, 200)))
    assert looks(skimage.data.binary_blobs(rng=0) * 1.0)
    assert looks(x)
    assert looks((x * x + y * y < 0.6) * 1.0)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, patients=4, seed=0, size=256, workers=0, progress=False)
    return [read_film(path) for path in sorted((folder / "dicom").glob("*.dcm"))]


def test_phantoms_pass_at_any_size_and_their_negatives_do_not(phantoms):
    for film in phantoms:
        pixels = film.pixels
        assert film.unlike == ()
        assert film.remarks == film.warnings
        assert looks(pixels[::4, ::2]) == ()
        assert looks(0.3 + pixels / 3) == ()
        assert looks(1 - pixels)


@pytest.mark.real
def test_of_real_chest_films_one_in_fifty_at_most_is_flagged(real):
    for folder in ("nih_target", "nih_source"):
        paths = sorted(real(folder).rglob("*.png"))[::4]
        flagged = [bool(looks(np.asarray(Image.open(path).convert("L")) / 255)) for path in paths]
        assert len(flagged) > 100
        assert np.mean(flagged) <= 0.02, folder
    for path in sorted(real("dicom", "chest").glob("*.dcm")):
        assert read_film(path).unlike == ()


@pytest.mark.real
def test_a_real_extremity_is_flagged(real):
    from data_prep.films.admission import Admission

    path = real("dicom", "codecs", "RG3_J2KR.dcm")
    film = read_film(path, admission=Admission(any_body_part=True))
    assert film.unlike
    assert film.remarks[-1] == "looks unlike a frontal chest film"
