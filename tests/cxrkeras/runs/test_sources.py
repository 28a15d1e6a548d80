"""`--source`: what a chain may be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.runs.sources import Dataset, Weights, check_there, parse_source
from data_prep.errors import UserError

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
folders = st.from_regex(r"[A-Za-z0-9_./=-]{1,12}", fullmatch=True).filter(
    lambda text: not text.endswith((".keras", ".weights.h5"))
)
datasets = st.builds(
    lambda name, folder: (f"{name}={folder}", Dataset(name, Path(folder))), names, folders
)
starts = st.sampled_from(["imagenet", "some/x.keras", "x.weights.h5"])


@given(
    start=st.none() | starts,
    links=st.lists(datasets, min_size=1, max_size=4),
    comma=st.sampled_from([",", ", ", " , "]),
)
def test_links_come_in_their_order(start, links, comma):
    words = [text for text, _ in links]
    expected = [link for _, link in links]
    if start:
        words, expected = [start, *words], [Weights(start), *expected]
    assert parse_source(comma.join(words)) == tuple(expected)


@given(links=st.lists(datasets, min_size=1, max_size=3), late=starts)
def test_weights_behind_a_link_are_refused(links, late):
    text = ",".join([*(text for text, _ in links), late])
    with pytest.raises(UserError, match="Weights can only begin a chain") as caught:
        parse_source(text)
    assert late in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "imagenet,",
        "nih",
        "nih=",
        "=data",
        "9a=data",
        "a b=data",
        "köln=data",
        "data/nih",
        "IMAGENET",
        "imagenet;nih=data",
        "a=b,,c=d",
    ],
)
def test_what_is_no_link_is_refused_in_one_line(text):
    with pytest.raises(UserError, match="A link of --source is") as caught:
        parse_source(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["x.safetensors", "a/x.PTH", "x.pth.tar", "x.pt", "x.h5"])
def test_what_must_be_imported_first_is_said_so(file):
    with pytest.raises(UserError, match="only after an import") as caught:
        parse_source(f"{file},nih=data")
    assert f"cxrkeras weights import {file} --as" in str(caught.value)


def test_a_weights_file_that_is_mistyped_is_told(tmp_path):
    with pytest.raises(UserError, match=r"ends in \.keras or .* Did you mean a/trunk\.keras\?"):
        parse_source("a/trunk.kera")
    (tmp_path / "trunk.keras").touch()
    check_there(Weights(str(tmp_path / "trunk.keras")))
    with pytest.raises(UserError, match=r"doesn't exist: .*Did you mean .*/trunk\.keras\?"):
        check_there(Weights(str(tmp_path / "trnk.keras")))
    with pytest.raises(UserError, match=r"dataset\.json"):
        check_there(Dataset("nih", tmp_path))


@given(st.text(max_size=20))
def test_any_text_gives_a_chain_or_a_refusal(text):
    try:
        chain = parse_source(text)
    except UserError:
        return
    assert chain
    assert all(isinstance(link, Dataset) for link in chain[1:])
