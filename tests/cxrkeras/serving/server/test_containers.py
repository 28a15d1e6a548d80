"""What `cxrkeras serve` writes for Docker, judged by the tools that need no daemon."""

import http.server
import json
import shutil
import subprocess
import threading
from importlib.metadata import version
from itertools import pairwise

import pytest

from cxrkeras.serving.server.containers import WHEEL
from cxrkeras.serving.server.deploy import served, write_config

HOSTILE = 'a "$HOME" \\n b'  # what a folder may be called


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What is written for two models, one of them in an oddly named folder."""
    home = tmp_path_factory.mktemp("served")
    models = home / "chest", home / HOSTILE / "Hips_2.1"
    for model in models:
        (model / "1").mkdir(parents=True)
        (model / "1" / "saved_model.pb").touch()
    write_config(home / "out", served(models), batch=4, wait=1, threads=1)
    (home / "out" / "secrets").mkdir()
    for name in ("htpasswd", "cert.pem", "key.pem"):
        (home / "out" / "secrets" / name).touch()
    return home / "out"


@pytest.fixture(scope="module")
def compose(folder):
    yaml = pytest.importorskip("yaml", reason="PyYAML isn't installed")
    return yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))


def test_compose_fits_the_schema(compose):
    schemas = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="check-jsonschema isn't installed"
    )
    import jsonschema

    schema = schemas.get_builtin_schema("vendor.compose-spec")
    jsonschema.validators.validator_for(schema)(schema).validate(compose)
    broken = compose | {"services": {"proxy": {"ports": {"8443": "8443"}}}}
    assert not jsonschema.validators.validator_for(schema)(schema).is_valid(broken)


def test_only_the_proxy_is_reached_and_only_from_here(compose):
    services = compose["services"]
    assert compose["networks"]["inside"] == {"internal": True}
    open_ = {name for name, of in services.items() if of["networks"] != ["inside"]}
    assert open_ == {name for name, of in services.items() if "ports" in of} == {"proxy"}
    published = services["proxy"]["ports"]
    assert published == [f"${{CXRKERAS_ADDRESS:-127.0.0.1}}:{port}:{port}" for port in (8443, 8444)]
    asked = [
        dict(pairwise(of["command"]))["--server"]
        for name, of in services.items()
        if name.startswith("page")
    ]
    assert asked == ["http://serving:8501"] * 2


def test_names_of_folders_are_kept_and_the_secrets_are_not_mounted(compose, folder):
    mounts = {m["target"]: m["source"] for m in compose["services"]["serving"]["volumes"]}
    assert mounts == {
        "/models/chest": str(folder.parent / "chest"),
        "/models/Hips_2.1": str(folder.parent / HOSTILE / "Hips_2.1").replace("$", "$$"),
        "/config/models.config": "./models.config",
        "/config/batching.config": "./batching.config",
    }
    assert "secrets/" in (folder / ".gitignore").read_text().splitlines()
    seen = (folder / ".dockerignore").read_text().splitlines()
    assert seen[1:] == ["*", "!constraints.txt", f"!{WHEEL}"]


def test_the_image_gets_the_versions_of_here(folder):
    pins = (folder / "constraints.txt").read_text().splitlines()[1:]
    assert f"tensorflow=={version('tensorflow')}" in pins
    assert not [pin for pin in pins if pin.startswith("cxrkeras") or "+" in pin]


@pytest.mark.parametrize("state", ["AVAILABLE", "LOADING"])
def test_the_servers_health_is_asked_of_every_model(compose, state):
    """Bash asks a stand-in that answers as the server documents."""
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    asked = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            told = {"model_version_status": [{"version": "1", "state": state}]}
            self.wfile.write(json.dumps(told, indent=1).encode())

        def log_message(self, *words):
            pass

    *before, script = compose["services"]["serving"]["healthcheck"]["test"]
    assert before == ["CMD", "bash", "-c"]
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = script.replace("/8501", f"/{server.server_port}")
        code = subprocess.run([bash, "-c", script], timeout=60).returncode
        server.shutdown()
    well = state == "AVAILABLE"
    assert code == (0 if well else 1)
    assert asked == ["/v1/models/chest", "/v1/models/Hips_2.1"][: 2 if well else 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("hadolint", ["Dockerfile"]),
        ("dockerfilelint", ["Dockerfile"]),
        ("docker-compose", ["config", "--quiet"]),
        ("docker", ["compose", "config", "--quiet"]),
    ],
)
def test_other_programs_find_nothing_to_say(program, words, folder):
    """Hadolint's licence is the GPL: it is run where it is, and not depended upon."""
    found = shutil.which(program) or pytest.skip(f"{program} isn't installed")
    if words[0] == "compose" and subprocess.run([found, "compose"], capture_output=True).returncode:
        pytest.skip("docker's plug-in compose isn't installed")
    ended = subprocess.run([found, *words], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
