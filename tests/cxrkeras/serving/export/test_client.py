"""The client against the stand-in, over both protocols: the last layer of the serving proof."""

import json
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrkeras.cli import cli
from cxrkeras.serving.app.judge import RemoteJudge
from cxrkeras.serving.app.reading import see
from cxrkeras.serving.server.client import as_png, predict_remote
from data_prep.errors import RejectedFile, UserError
from data_prep.films.film import read_film
from data_prep.films.square import Settings
from data_prep.phantom.write import write_phantoms
from tests.cxrkeras.serving.export.picture_files import COLOUR, DEEP, GREY, png
from tests.cxrkeras.serving.served_runs import LABELS
from tests.cxrkeras.serving.stand_in import Loaded, grpc_server, rest

pytestmark = pytest.mark.shares_proof


@pytest.fixture(scope="module")
def loaded(proof):
    return Loaded("chest", proof.folder)


@pytest.fixture(scope="module")
def grpc_address(loaded):
    pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api (extra serve)")
    with grpc_server(loaded) as address:
        yield address


@pytest.fixture(scope="module")
def rest_address(loaded):
    with rest(loaded) as address:
        yield address


@pytest.fixture(params=["rest_address", "grpc_address"])
def address(request):
    return request.getfixturevalue(request.param)


def test_both_protocols_answer_as_keras_does(address, proof):
    contents = [*proof.contents, b"broken"]
    answer = predict_remote(address, "chest", contents)
    assert answer.labels == LABELS
    np.testing.assert_allclose(answer.probability[:5], proof.probability, rtol=0, atol=1e-6)
    assert np.isnan(answer.probability[5]).all()
    assert answer.valid.tolist() == [True] * 5 + [False]
    np.testing.assert_array_equal(answer.thresholds, [0.375, np.nan, 0.0625])


def test_the_page_asks_over_both_protocols(address, proof):
    judge = RemoteJudge(address, "chest")
    assert judge.labels == LABELS
    seen = see(proof.contents[0], Settings(64), for_server=True)
    findings = judge.findings(seen)
    told = [finding.probability for finding in findings]
    np.testing.assert_allclose(told, proof.probability[0], rtol=0, atol=1e-6)
    assert [finding.threshold for finding in findings] == [0.375, None, 0.0625]
    with pytest.raises(UserError, match="Servable not found"):
        RemoteJudge(address, "another")


def test_prepared_images_go_as_they_are(address, proof):
    answer = predict_remote(address, "chest", proof.images.astype(np.uint8))
    assert answer.labels == LABELS
    assert answer.valid.all()
    np.testing.assert_allclose(answer.probability, proof.probability, rtol=0, atol=1e-6)


def test_another_name_is_refused_in_one_line(address, proof):
    with pytest.raises(UserError, match=r"refused: Servable not found .*Latest\(other\)") as told:
        predict_remote(address, "other", proof.contents[:1])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_nobody_there(scheme):
    if scheme == "grpc":
        pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api (serve)")
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        server = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match="gave no usable answer") as told:
            predict_remote(server, "chest", [b"x"], timeout=5)
    assert "\n" not in str(told.value)


def test_a_server_that_is_too_slow(loaded, proof):
    with rest(loaded, delay=1.0) as slow, pytest.raises(UserError, match=r"within 0\.1 s"):
        predict_remote(slow, "chest", proof.contents[:1], timeout=0.1)


@pytest.mark.parametrize("server", ["localhost:8501", "ftp://host", "http://", "grpc:"])
def test_an_address_of_another_kind(server):
    with pytest.raises(UserError, match="--server must be http://HOST:8501 or grpc"):
        predict_remote(server, "chest", [b"x"])


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(UserError, match="no user or password") as told:
        predict_remote("http://doe:hush@127.0.0.1:9", "chest", [b"x"])
    assert "hush" not in str(told.value)


def test_rest_at_the_port_of_grpc_gets_one_line(grpc_address):
    address = grpc_address.replace("grpc://", "http://")
    with pytest.raises(UserError, match=r"no usable answer \(BadStatusLine\).*8500 for grpc"):
        predict_remote(address, "chest", [b"x"])


@pytest.mark.parametrize("picture", [GREY, DEEP, COLOUR], ids=["grey", "deep", "rgba"])
def test_what_is_sent_is_the_film_and_nothing_else(picture, tmp_path):
    path = tmp_path / "film.png"
    exif = Image.Exif()
    exif[0x0112], exif[0x9C9B] = 6, "Doe^Jane"
    Image.fromarray(picture).save(path, exif=exif, pnginfo=None)
    sent = tmp_path / "sent.png"
    sent.write_bytes(as_png(path))
    with Image.open(sent) as image:
        assert not image.info
        assert image.mode == ("L" if picture is GREY else "I;16")
    original, received = read_film(path).pixels, read_film(sent).pixels
    assert received.shape == original.shape == picture.T.shape[-2:]
    np.testing.assert_allclose(received, original, rtol=0, atol=0.5 / 65535 + 1e-7)


def test_dicom_is_decoded_here(tmp_path, rest_address, proof):
    write_phantoms(tmp_path, patients=1, seed=3, size=64, workers=0, progress=False)
    film = next((tmp_path / "dicom").glob("*.dcm"))
    content = as_png(film)
    assert content.startswith(b"\x89PNG")
    assert b"PHANTOM" not in content.upper()
    assert predict_remote(rest_address, "chest", [content]).valid.all()


def test_a_file_that_is_no_film_is_refused_before_it_is_sent(tmp_path):
    (tmp_path / "blank.png").write_bytes(png(np.zeros((32, 32), np.uint8)))
    with pytest.raises(RejectedFile, match="blank"):
        as_png(tmp_path / "blank.png")


def predicted(*words) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["predict", *map(str, words)])
    return result.exit_code, result.output


def test_predict_asks_a_server_and_lists_what_cannot_be_read(address, proof, tmp_path):
    for number, content in enumerate(proof.contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    (tmp_path / "2b.png").write_bytes(b"broken")
    out = tmp_path / "answer.json"
    words = (tmp_path, tmp_path / "nowhere.png", "--server", address, "--out", out)
    code, said = predicted("chest", *words, "--batch-size", 2, "--workers", 0)
    assert code == 0, said
    told = json.loads(out.read_text())
    for k, label in enumerate(LABELS):
        shown = [image["labels"][label]["probability"] for image in told["images"]]
        np.testing.assert_allclose(shown, proof.probability[:, k], rtol=0, atol=1e-6)
    assert [told["labels"][label]["threshold"] for label in LABELS] == [0.375, None, 0.0625]
    assert {told["labels"][label]["from"] for label in LABELS} == {"the server"}
    unread = [Path(row["file"]).name for row in told["unreadable"]]
    assert unread == ["2b.png", "nowhere.png"]
    assert "not for clinical use" in said


def test_a_request_that_is_too_large_is_sent_in_parts(loaded, proof, tmp_path):
    for number, content in enumerate(proof.contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    large = np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)
    (tmp_path / "large.png").write_bytes(png(large))
    out = tmp_path / "answer.csv"
    with rest(loaded, largest=5000) as address:
        code, said = predicted("chest", tmp_path, "--server", address, "--out", out)
    assert code == 0, said
    told = pd.read_csv(out).set_index("file_name")
    expected = pd.Series(proof.probability[:, 0], [f"{n}.png" for n in range(5)])
    found = told[f"prob_{LABELS[0]}"].dropna()
    np.testing.assert_allclose(found[expected.index], expected, rtol=0, atol=1e-6)
    assert len(found) == 5
    assert "too large" in told.loc["large.png", "error"]


def test_predict_by_a_server_refuses_what_the_export_decided(tmp_path):
    words = ("chest", tmp_path, "--server", "http://127.0.0.1:1")
    code, said = predicted(*words, "--operating-point", "youden")
    assert code == 2
    assert "--operating-point is chosen when a model is exported" in said
    assert predicted(*words, "--calibrate", "isotonic")[0] == 2
