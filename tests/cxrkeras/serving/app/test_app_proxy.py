"""The page behind the proxy that `cxrkeras serve` describes: a real nginx, TLS and a password."""

import base64
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from cxrkeras.serving.server.deploy import served as exported
from cxrkeras.serving.server.deploy import write_config
from tests.cxrkeras.serving.app import page_files
from tests.cxrkeras.serving.app.conftest import started
from tests.cxrkeras.serving.app.test_app_browser import WAIT, send
from tests.screens.browser import BROWSER, FLAGS

pytestmark = pytest.mark.slow
USER, PASSWORD = "reader", "only for this test"
_PAGE = """
from tests.cxrkeras.serving.app.page_files import LIMIT, Saying
from cxrkeras.serving.app.gate.address import listen
from cxrkeras.serving.app.serve import serve
from cxrkeras.serving.app.terms import Terms
serve(Saying(), Terms(LIMIT, local=False), [listen("127.0.0.1", 0)], open_page=False)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page that expects visitors from elsewhere, as in its container."""
    with started(tmp_path_factory.mktemp("page"), code=_PAGE) as page:
        yield page


@pytest.fixture(scope="module")
def proxy(page, tmp_path_factory):
    """Nginx with the file as written, but for the places that are a container's."""
    for needed in ("nginx", "openssl"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} isn't installed")
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "chest" / "1").mkdir(parents=True)
    (folder / "chest" / "1" / "saved_model.pb").touch()
    write_config(folder, exported([folder / "chest"]), batch=1, wait=1, threads=1)
    _make_secrets(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = (folder / "nginx.conf").read_text()
    for there, here in (
        ("/tmp/", f"{folder}/"),
        ("http://page-8443:7860", page.url),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("/run/secrets", f"{folder}/secrets"),
    ):
        assert there in conf
        conf = conf.replace(there, here)
    (folder / "here.conf").write_text(conf)
    more = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    process = subprocess.Popen(
        ["nginx", "-p", folder, "-c", folder / "here.conf", "-e", "stderr", "-g", more]
    )
    address = SimpleNamespace(url=f"https://127.0.0.1:{port}", port=port, folder=folder)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            break
    assert process.poll() is None
    yield address
    process.terminate()
    process.wait(60)


def _make_secrets(folder):
    """By the commands that the file itself gives, with the password typed."""
    lines = (folder / "compose.yaml").read_text().splitlines()
    commands = "\n".join(line[4:] for line in lines if line.startswith("#   "))
    commands = commands.split("docker compose")[0]
    assert "openssl passwd -6" in commands
    commands = commands.replace("passwd -6", "passwd -6 -stdin")
    for_key = commands.replace("rsa:3072", "rsa:2048")
    subprocess.run(
        ["sh", "-ec", for_key], cwd=folder, input=PASSWORD, text=True, check=True, timeout=120
    )
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    held = (folder / "secrets" / "htpasswd").read_text()
    assert held.startswith(f"{USER}:$6$")
    assert PASSWORD not in held


def ask(proxy, path, body=None, password=PASSWORD, **headers):
    """(status, text) of a request with a password, or without for None."""
    if password is not None:
        told = base64.b64encode(f"{USER}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {told}"
    trusting = ssl.create_default_context(cafile=proxy.folder / "secrets" / "cert.pem")
    trusting.check_hostname = False  # it is the machine's name
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=120, context=trusting)
    with closing(connection):
        connection.request("GET" if body is None else "POST", path, body, headers)
        with connection.getresponse() as reply:
            return reply.status, reply.read().decode()


def test_nobody_enters_without_the_password(proxy):
    assert ask(proxy, "/", password=None)[0] == 401
    assert ask(proxy, "/", password="guessed")[0] == 401
    assert ask(proxy, "/film", b"x", password=None)[0] == 401
    assert ask(proxy, "/")[0] == 200


def test_what_the_page_refuses_is_refused_behind_the_proxy(proxy):
    assert ask(proxy, "/film", b"x", Origin="https://elsewhere.example")[0] == 403
    assert ask(proxy, "/film", b"x", Origin=proxy.url)[0] == 200
    assert ask(proxy, "/film", bytes(page_files.LIMIT + 1))[0] == 413
    assert ask(proxy, "/gradio_api/upload", b"x")[0] == 404


def test_no_film_reaches_the_proxys_disk(proxy, page):
    before = {path for path in proxy.folder.rglob("*") if path.is_file()}
    assert ask(proxy, "/film", bytes(page_files.LIMIT))[0] == 200
    assert {path for path in proxy.folder.rglob("*") if path.is_file()} == before


def test_a_person_reads_a_film_through_the_proxy(proxy):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if not BROWSER:
        pytest.skip("there is no Chromium or Chrome on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        context = browser.new_context(
            ignore_https_errors=True,
            http_credentials={"username": USER, "password": PASSWORD},
        )
        view = context.new_page()
        view.set_default_timeout(WAIT)
        asked = []
        view.on("request", lambda request: asked.append(request.url))
        view.goto(proxy.url)
        view.wait_for_selector("#cx-file-A", state="attached")
        assert "read" in send(view, "A", page_files.picture(page_files.grey(0)))
        browser.close()
    assert any("heartbeat" in url for url in asked)
    assert all(url.startswith((proxy.url, "data:", "blob:")) for url in asked)
