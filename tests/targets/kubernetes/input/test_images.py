"""Images are looked for before a pod is started; the registry here is an HTTP server that answers as registries do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.targets.kubernetes.input.things import deployment

from failback.targets.kubernetes import images, pulling
from failback.targets.kubernetes.desired import desired_of
from failback.targets.kubernetes.images import Answer, Reference, ask, credentials, parsed, with_digest

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("nginx", Reference("docker.io", "library/nginx", "latest", "")),
        ("acme/web:1", Reference("docker.io", "acme/web", "1", "")),
        ("localhost/web", Reference("localhost", "web", "latest", "")),
        ("localhost:5000/a/web:1.2", Reference("localhost:5000", "a/web", "1.2", "")),
        ("registry.example.org/web", Reference("registry.example.org", "web", "latest", "")),
        (f"registry.example.org/web@{DIGEST}", Reference("registry.example.org", "web", "", DIGEST)),
        (f"registry.example.org/web:1@{DIGEST}", Reference("registry.example.org", "web", "1", DIGEST)),
        ("registry.example.org:443/web", Reference("registry.example.org:443", "web", "latest", "")),
    ],
)
def test_references_are_taken_apart_as_the_runtime_does(image, found):
    assert parsed(image) == found


@pytest.mark.parametrize("image", ["", "registry.example.org/", "Web:1", "a b"])
def test_what_is_no_reference_is_told(image):
    with pytest.raises(ValueError, match="no image reference"):
        parsed(image)


def secret(server: str, kind: str = ".dockerconfigjson", **entry: str):
    shape = {"auths": {server: entry}} if kind == ".dockerconfigjson" else {server: entry}
    return {"kind": "Secret", "data": {kind: base64.b64encode(json.dumps(shape).encode()).decode()}}


AUTH = base64.b64encode(b"anna:pass:word").decode()


@pytest.mark.parametrize(
    ("secrets", "login"),
    [
        ([secret("registry.example.org", auth=AUTH)], ("anna", "pass:word")),
        ([secret("https://registry.example.org/v2/", username="anna", password="p")], ("anna", "p")),
        ([secret("registry.example.org", ".dockercfg", username="anna", password="p")], ("anna", "p")),
        ([secret("other.example.org", auth=AUTH)], None),
        ([{"kind": "Secret", "data": {".dockerconfigjson": "!"}}], None),
        ([], None),
    ],
)
def test_credentials_are_those_of_the_registry(secrets, login):
    assert credentials(secrets, "registry.example.org") == login


def test_the_hubs_credentials_have_a_name_of_their_own():
    assert credentials([secret("https://index.docker.io/v1/", auth=AUTH)], "docker.io") == ("anna", "pass:word")


@pytest.mark.parametrize(
    ("registry", "schemes"),
    [
        ("localhost:5000", ("http", "https")),
        ("127.0.0.1:5000", ("http", "https")),
        ("10.0.0.7:5000", ("https", "http")),
        ("registry.kube-system.svc", ("https", "http")),
        ("registry.example.org", ("https",)),
        ("8.8.8.8", ("https",)),
    ],
)
def test_plain_http_is_for_private_places_alone(registry, schemes):
    """A password must never be tried over plain http on the open network."""
    assert images._schemes(registry) == schemes


# -- asking ------------------------------------------------------------------------------------------------------------


class Registry(BaseHTTPRequestHandler):
    """`open/` is for everybody, `token/` asks for a bearer token, `login/` for user and password."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        if self.path.startswith("/token?"):
            good = "scope=repository%3Atoken%2Fweb%3Apull" in self.path
            self.say(200, json.dumps({"token": "t0ken" if good else "other"}))
            return
        self.answer()

    def answer(self) -> None:
        _, _, group, _, _, tag = self.path.split("/")
        given = self.headers.get("Authorization", "")
        if group == "token" and given != "Bearer t0ken":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="reg",scope="repository:token/web:pull"'
            self.say(401, headers={"WWW-Authenticate": challenge})
        elif group == "login" and given != f"Basic {base64.b64encode(b'anna:secret').decode()}":
            self.say(401, headers={"WWW-Authenticate": 'Basic realm="reg"'})
        elif group == "broken":
            self.say(500)
        elif tag in ("1", DIGEST):
            self.say(200, headers={"Docker-Content-Digest": DIGEST})
        else:
            self.say(404, json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}))

    def say(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "login", "answer"),
    [
        ("open/web:1", None, Answer("there", DIGEST)),
        (f"open/web@{DIGEST}", None, Answer("there", DIGEST)),
        ("open/web:nope", None, Answer("absent", said="MANIFEST_UNKNOWN: manifest unknown")),
        ("token/web:1", None, Answer("there", DIGEST)),
        ("login/web:1", None, Answer("denied", said="401 Unauthorized")),
        ("login/web:1", ("anna", "secret"), Answer("there", DIGEST, with_credentials=True)),
        ("login/web:1", ("anna", "wrong"), Answer("denied", said="401 Unauthorized", with_credentials=True)),
        ("broken/web:1", None, Answer("unreachable", said="the registry answers 500")),
    ],
)
async def test_a_registry_is_asked(registry, path, login, answer):
    assert await ask(f"{registry}/{path}", login) == answer


async def test_a_registry_that_is_not_there_is_no_answer():
    answer = await ask("127.0.0.1:1/web:1")

    assert answer.state == "unreachable"
    assert answer.said.startswith("ConnectError")


@pytest.mark.parametrize(
    ("answer", "blocking"),
    [
        (Answer("there", DIGEST), None),
        (Answer("absent", said="manifest unknown"), True),
        (Answer("denied", said="401", with_credentials=True), True),
        (Answer("denied", said="401"), False),  # the nodes may have credentials of their own
        (Answer("unreachable", said="ConnectError"), False),  # the nodes may reach it
    ],
)
def test_only_what_the_nodes_would_meet_as_well_blocks(answer, blocking):
    found = pulling.findings(desired_of([deployment()]), {"registry.example.org/web:1": answer})

    assert [one.blocking for one in found] == ([] if blocking is None else [blocking])


def test_an_image_is_named_by_tag_and_digest():
    assert with_digest("web:1", DIGEST) == f"web:1@{DIGEST}"
    assert with_digest(f"web@{DIGEST}", f"sha256:{'b' * 64}") == f"web@{DIGEST}"
    assert with_digest("web:1", "") == "web:1"
