"""The grey-scale chain against its closed forms and against pydicom where pydicom is right."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

from data_prep.errors import RejectedFile
from data_prep.films.display import _looked_up, render, window
from tests.data_prep.films.synthetic_dicom import dicom, lut

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
IDENTITY = {"WindowCenter": 2048, "WindowWidth": 4096}


def rendered(stored=RAMP, **fields):
    return render(stored, dicom(stored, **fields))


@pytest.mark.parametrize(
    ("shape", "photometric", "inverse", "contradiction"),
    [
        ("INVERSE", "MONOCHROME1", True, False),
        ("INVERSE", "MONOCHROME2", True, True),
        ("IDENTITY", "MONOCHROME1", False, True),
        ("IDENTITY", "MONOCHROME2", False, False),
        (None, "MONOCHROME1", True, False),
        (None, "MONOCHROME2", False, False),
    ],
)
def test_inverts_once_and_trusts_the_lut_shape(shape, photometric, inverse, contradiction):
    grey = rendered(PresentationLUTShape=shape, PhotometricInterpretation=photometric, **IDENTITY)
    expected = RAMP / 4095
    np.testing.assert_allclose(grey.pixels, 1 - expected if inverse else expected, atol=1e-7)
    assert any("contradicts" in line for line in grey.warnings) is contradiction


def test_full_linear_window_on_12_bits_is_x_over_4095():
    x = np.arange(4096)
    np.testing.assert_allclose(window(x, 2048, 4096), x / 4095, rtol=0, atol=1e-15)


def test_linear_exact_and_sigmoid_closed_forms():
    x = np.array([-50.0, 0.0, 50.0, 100.0, 150.0, 200.0, 400.0])
    np.testing.assert_allclose(
        window(x, 100, 200, "LINEAR_EXACT"), [0, 0, 0.25, 0.5, 0.75, 1, 1], atol=1e-15
    )
    np.testing.assert_allclose(
        window(x, 100, 200, "SIGMOID"), 1 / (1 + np.exp(-(x - 100) / 50)), atol=1e-15
    )


def test_linear_window_of_width_1_is_a_threshold():
    np.testing.assert_array_equal(window([9.0, 9.5, 9.6, 10.0], 10, 1), [0, 0, 1, 1])


@given(
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    center=st.integers(-3000, 6000),
    width=st.integers(2, 9000),
    slope=st.sampled_from([1.0, 0.5, 2.25]),
    intercept=st.integers(-2000, 2000),
    signed=st.booleans(),
)
def test_window_agrees_with_pydicom(function, center, width, slope, intercept, signed):
    stored = (RAMP[:, ::7].astype(np.int16) - 2048) if signed else RAMP[:, ::7]
    dataset = dicom(
        stored,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    with np.errstate(over="ignore"):  # pydicom's exp, far out on a sigmoid
        reference = apply_windowing(apply_modality_lut(stored, dataset), dataset)
    low = (-2048 if signed else 0) * slope + intercept
    reference = (reference - low) / (4095 * slope)
    grey = render(stored, dataset)
    if any("outside" in line for line in grey.warnings):
        assert np.ptp(reference) < 1e-12
    else:
        np.testing.assert_allclose(grey.pixels, reference, atol=1e-6)


@given(
    entries=st.lists(st.integers(0, 4095), min_size=2, max_size=300),
    first=st.integers(0, 3000),
)
def test_voi_lut_agrees_with_pydicom(entries, first):
    entries = [0, *entries, 4095]
    dataset = dicom(RAMP, VOILUTSequence=[lut(entries, first, 12)])
    reference = apply_voi(RAMP, dataset) / 4095
    np.testing.assert_allclose(render(RAMP, dataset).pixels, reference, atol=1e-7)


def test_modality_lut_then_window():
    entries = (np.arange(4096) ** 2 // 4096).tolist()
    grey = rendered(ModalityLUTSequence=[lut(entries, 0, 12)], **IDENTITY)
    np.testing.assert_allclose(grey.pixels.ravel(), np.array(entries) / 4095, atol=1e-7)


def test_8_bit_voi_lut_of_many_entries_does_not_wrap():
    entries = (np.arange(4096) // 16).tolist()
    for data in (entries, bytes(entries), np.array(entries, "<u2").tobytes()):
        item = lut(entries, 0, 8)
        item.add_new("LUTData", "US" if isinstance(data, list) else "OW", data)
        grey = rendered(VOILUTSequence=[item])
        np.testing.assert_allclose(grey.pixels.ravel(), np.array(entries) / 255, atol=1e-7)


def test_negative_first_value_stored_as_unsigned():
    stored = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    grey = rendered(stored, VOILUTSequence=[lut(list(range(4096)), 65536 - 2048, 12)])
    np.testing.assert_allclose(grey.pixels, RAMP / 4095, atol=1e-7)


def test_voi_lut_that_declares_more_bits_than_it_uses():
    grey = rendered(VOILUTSequence=[lut(list(range(4096)), 0, 16)])
    np.testing.assert_allclose(grey.pixels, RAMP / 4095, atol=1e-7)
    assert "declares 16 bits and uses 12" in grey.warnings[0]


def test_first_of_several_windows_is_used():
    grey = rendered(WindowCenter=[2048, 100], WindowWidth=[4096, 10])
    np.testing.assert_allclose(grey.pixels, RAMP / 4095, atol=1e-7)
    assert grey.warnings == ["2 VOI windows: the first is used"]


def test_voi_lut_goes_before_a_window():
    grey = rendered(VOILUTSequence=[lut([0, 4095], 100, 12)], WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(grey.pixels.ravel(), RAMP.ravel() > 100)
    assert "several VOI" in grey.warnings[0]


def test_without_voi_deep_images_use_their_own_range():
    stored = RAMP // 4 + 1000
    grey = rendered(stored, bits=16)
    np.testing.assert_allclose(grey.pixels, (RAMP // 4) / 1023, atol=1e-6)
    assert "no VOI" in grey.warnings[0]


def test_without_voi_8_bits_are_as_in_a_png():
    stored = (RAMP // 32 + 30).astype(np.uint8)
    grey = rendered(stored, bits=8)
    np.testing.assert_allclose(grey.pixels, stored / 255, atol=1e-7)
    assert grey.warnings == []


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_invalid_window_is_ignored_with_a_warning(width):
    grey = rendered(WindowCenter=2048, WindowWidth=width)
    np.testing.assert_allclose(grey.pixels, RAMP / 4095, atol=1e-7)
    assert "invalid VOI window ignored" in grey.warnings


def test_window_beside_the_image_does_not_blank_it():
    grey = rendered(WindowCenter=50000, WindowWidth=100)
    np.testing.assert_allclose(grey.pixels, RAMP / 4095, atol=1e-7)
    assert "outside" in grey.warnings[0]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_out_of_account(photometric):
    stored = np.full((20, 20), 4000, np.uint16)
    stored[5:15, 5:15] = np.arange(1000, 1100).reshape(10, 10)
    stored[9, 9] = 4000  # inside the picture: a bright pixel, no padding
    grey = rendered(stored, PixelPaddingValue=4000, PhotometricInterpretation=photometric)
    assert grey.padding.sum() == 300
    assert not grey.pixels[grey.padding].any()
    assert grey.pixels[9, 9] == (photometric == "MONOCHROME2")
    inner = grey.pixels[5:15, 5:15]
    assert (inner.min(), inner.max()) == (0, 1)


def test_padding_range_and_sign():
    stored = np.full((8, 8), -2000, np.int16)
    stored[0] = -1990
    stored[2:6, 2:6] = np.arange(16).reshape(4, 4)
    dataset = dicom(stored, bits=16)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    dataset.add_new("PixelPaddingRangeLimit", "US", 65536 - 1990)
    np.testing.assert_allclose(
        render(stored, dataset).pixels[2:6, 2:6].ravel(), np.arange(16) / 15, atol=1e-6
    )


@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 150),
)
def test_every_value_gets_its_entry_and_those_beyond_the_ends(dtype, seed, rows):
    rng, kind = np.random.default_rng(seed), np.iinfo(dtype)
    stored = rng.integers(kind.min, kind.max, (rows, 5), dtype, endpoint=True)
    low, high = sorted(rng.integers(kind.min, kind.max, 2, endpoint=True).tolist())
    table = rng.random(high - low + 1, np.float32)
    expected = table[np.clip(stored.astype(int), low, high) - low]
    np.testing.assert_array_equal(_looked_up(stored, table, low), expected)


def test_nothing_but_padding_is_rejected():
    with pytest.raises(RejectedFile, match="padding"):
        rendered(np.full((4, 4), 7, np.uint16), PixelPaddingValue=7)


@pytest.mark.parametrize("signed", [False, True])
def test_embedded_overlay_is_cleared(signed):
    stored = RAMP.astype(np.int16) - 2048 if signed else RAMP
    drawn = stored ^ np.where(np.arange(64) % 3 == 0, 1 << 12, 0).astype(stored.dtype)
    dataset = dicom(drawn)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    np.testing.assert_allclose(render(drawn, dataset).pixels, RAMP / 4095, atol=1e-7)


def test_raw_images_are_named():
    assert "FOR PROCESSING" in rendered(PresentationIntentType="FOR PROCESSING").warnings[0]


def test_rescale_slope_of_zero_is_rejected():
    with pytest.raises(RejectedFile, match="slope"):
        rendered(RescaleSlope=0, RescaleIntercept=0)


@given(
    stored=arrays.arrays(np.uint16, (6, 5), elements=st.integers(0, 65535)),
    center=st.floats(-1e5, 1e5),
    width=st.floats(-10, 1e5),
    monochrome=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_always_in_the_unit_interval_and_monotone(stored, center, width, monochrome):
    dataset = dicom(stored, bits=16, PhotometricInterpretation=monochrome)
    dataset.WindowCenter, dataset.WindowWidth = f"{center:.6g}", f"{width:.6g}"
    pixels = render(stored, dataset).pixels
    assert pixels.dtype == np.float32
    assert pixels.shape == stored.shape
    assert 0 <= pixels.min() <= pixels.max() <= 1
    order = np.argsort(stored.ravel(), kind="stable")
    steps = np.diff(pixels.ravel()[order])
    assert (steps <= 0).all() if monochrome == "MONOCHROME1" else (steps >= 0).all()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        *(
            ({field: value}, "rescale slope or intercept that isn't a finite number")
            for field in ("RescaleSlope", "RescaleIntercept")
            for value in ("inf", "-inf", "nan")
        ),
        ({"RescaleSlope": "1e308"}, "so large that values overflow"),
        ({"RescaleSlope": "-4e304", "RescaleIntercept": "1.7e308"}, None),
        ({"RescaleSlope": "1", "RescaleIntercept": "1e300"}, "make different values equal"),
        ({"RescaleSlope": "1e-300", "RescaleIntercept": "1"}, "make different values equal"),
        ({"RescaleSlope": "1", "RescaleIntercept": "1e18"}, "make different values equal"),
        ({"RescaleSlope": "1e-30"}, None),
        ({"RescaleSlope": "1e300"}, None),
        *(
            ({"WindowCenter": center, "WindowWidth": width}, "VOI window that isn't finite numbers")
            for center, width in (("nan", "9"), ("9", "inf"), ("-inf", "9"))
        ),
        ({"WindowCenter": "1e308", "WindowWidth": "1e-300"}, None),
    ],
)
def test_a_rescale_or_window_that_is_not_finite_is_refused(fields, reason):
    """The rule is named; what is accepted is finite, and keeps its picture."""
    if reason:
        with pytest.raises(RejectedFile, match=reason):
            rendered(**fields)
    else:
        pixels = rendered(**fields).pixels
        assert np.isfinite(pixels).all()
        assert len(np.unique(pixels)) == 4096


@pytest.mark.parametrize(
    "missing", [("LUTDescriptor", "LUTData"), ("LUTDescriptor",), ("LUTData",)]
)
def test_an_empty_lut_is_as_none_with_a_warning(missing):
    item = lut([4095, 0], 0, 12)
    for keyword in missing:
        delattr(item, keyword)
    for keyword, name in (("ModalityLUTSequence", "modality"), ("VOILUTSequence", "VOI")):
        grey = rendered(**{keyword: [item]}, **IDENTITY)
        np.testing.assert_array_equal(grey.pixels, rendered(**IDENTITY).pixels)
        assert grey.warnings == [f"empty {name} LUT ignored"]


def test_a_lut_whose_descriptor_lacks_a_part_is_refused():
    item = lut([4095, 0], 0, 12)
    item.LUTDescriptor = [2, 0]
    with pytest.raises(RejectedFile, match="malformed LUT"):
        rendered(VOILUTSequence=[item])
