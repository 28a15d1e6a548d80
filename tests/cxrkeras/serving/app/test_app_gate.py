"""What the running page lets through."""

import pytest

from tests.cxrkeras.serving.app.page_files import LIMIT
from tests.cxrkeras.serving.app.visitor import RUN, ask, status

pytestmark = pytest.mark.slow


def test_the_page_comes_with_rules_that_keep_it_offline(served):
    code, headers, text = ask(served, "/")
    assert code == 200
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert "Not for clinical use" in text
    assert '"analytics_enabled":false' in text.replace(" ", "")


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_other_sites_are_refused(served, header):
    assert status(served, "/film", b"film", **header) == 403
    assert status(served, "/", **header) == 403


def test_the_page_itself_may_ask(served):
    port = served.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert status(served, "/film", b"film", Host=host, Origin=f"http://{host}") == 200


def test_uploads_beyond_the_limit_are_refused_said_or_unsaid(served):
    assert status(served, "/film", b"0" * LIMIT) == 200
    assert status(served, "/film", b"0" * (LIMIT + 1)) == 413
    unsaid = (b"0" * (LIMIT // 2 + 1) for _ in range(2))  # chunked: no length in advance
    assert status(served, "/film", unsaid) == 413
    assert status(served, RUN, b"0" * 70_000) == 413
