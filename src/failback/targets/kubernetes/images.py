"""Whether an image is there, and by which digest: asked of its registry, with the pods' own credentials.

Speaks the OCI distribution API: anonymous bearer tokens, basic authentication of imagePullSecrets, plain http for a
registry on this machine or in a private network. A registry that cannot be reached from here is no error: the nodes
may reach it all the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from failback.targets.kubernetes.kinds import Object

ANSWER_S_MAX = 5.0
CONNECT_S_MAX = 1.5  # a registry out of reach from here may well be in reach of the nodes: not worth a wait
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """ "registry/repository:tag@digest", taken apart as the container runtime takes it."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def wanted(self) -> str:
        return self.digest or self.tag


@dataclass(frozen=True, slots=True)
class Answer:
    """`state`: "there" | "absent" | "denied" | "unreachable". `said`: the registry's own words."""

    state: str
    digest: str = ""
    said: str = ""
    with_credentials: bool = False


def parsed(image: str) -> Reference:
    """ "nginx" -> docker.io's library/nginx:latest. Raises ValueError for what is no reference."""
    rest, _, digest = image.partition("@")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, remainder
    else:
        registry, path = "docker.io", rest if slash else f"library/{rest}"
    name, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        name, tag = path, "" if digest else "latest"
    if not re.fullmatch(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", name):
        raise ValueError(f"{image} is no image reference")
    return Reference(registry, name, tag, digest)


def credentials(secrets: Sequence[Object], registry: str) -> tuple[str, str] | None:
    """User and password for a registry out of pull Secrets of either kind; None where none is for it. Pure."""
    for secret in secrets:
        for server, entry in _entries(secret):
            if re.sub(r"^https?://|/.*$", "", server) not in (
                registry,
                "index.docker.io" if registry == "docker.io" else registry,
            ):
                continue
            if entry.get("auth"):
                try:
                    user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
                except (binascii.Error, UnicodeDecodeError):
                    continue
                return user, password
            if entry.get("username"):
                return str(entry["username"]), str(entry.get("password", ""))
    return None


def _entries(secret: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    texts = dict(secret.get("stringData") or {})
    for key, value in (secret.get("data") or {}).items():
        try:
            texts.setdefault(key, base64.b64decode(value).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    for key in (".dockerconfigjson", ".dockercfg"):
        try:
            shape = json.loads(texts.get(key, "null"))
        except ValueError:
            continue
        found = shape.get("auths", {}) if key == ".dockerconfigjson" and isinstance(shape, dict) else shape
        for server, entry in (found or {}).items():
            if isinstance(entry, dict):
                yield server, entry


async def ask(image: str, login: tuple[str, str] | None = None) -> Answer:
    """One HEAD request for the manifest, and one for a token where the registry asks for it."""
    import httpx

    patience = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX)

    try:
        reference = parsed(image)
    except ValueError as cause:
        return Answer("absent", said=str(cause))
    host = _HUB if reference.registry == "docker.io" else reference.registry
    problem = ""
    for scheme in _schemes(reference.registry):
        try:
            async with httpx.AsyncClient(timeout=patience, follow_redirects=True) as client:
                url = f"{scheme}://{host}/v2/{reference.repository}/manifests/{reference.wanted}"
                return await _asked(client, url, login)
        except (httpx.TransportError, httpx.InvalidURL, OSError, ValueError) as cause:
            problem = problem or f"{type(cause).__name__}: {cause}".rstrip(": ")
    return Answer("unreachable", said=problem)


async def _asked(client: Any, url: str, login: tuple[str, str] | None) -> Answer:
    headers = {"Accept": _MANIFESTS}
    response = await client.head(url, headers=headers, auth=login)
    if response.status_code == 401 and "bearer" in response.headers.get("www-authenticate", "").lower():
        token = await _token(client, response.headers["www-authenticate"], login)
        if token:
            response = await client.head(url, headers={**headers, "Authorization": f"Bearer {token}"})
    if response.status_code == 200:
        digest = response.headers.get("docker-content-digest", "")
        return Answer("there", digest if _DIGEST.fullmatch(digest) else "", with_credentials=login is not None)
    if response.status_code == 404:
        # A HEAD has no words; they are what tells an absent tag from an absent repository.
        told = await client.get(url, headers=dict(response.request.headers) | {"Accept": _MANIFESTS})
        return Answer("absent", said=_words(told), with_credentials=login is not None)
    if response.status_code in (401, 403):
        return Answer(
            "denied", said=f"{response.status_code} {response.reason_phrase}", with_credentials=login is not None
        )
    return Answer("unreachable", said=f"the registry answers {response.status_code}")


async def _token(client: Any, challenge: str, login: tuple[str, str] | None) -> str:
    """A token as the registry's challenge says where to get one; "" where it gives none."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", "")
    if not realm:
        return ""
    response = await client.get(realm, params=fields, auth=login)
    if response.status_code != 200:
        return ""
    shape = response.json()
    return str(shape.get("token") or shape.get("access_token") or "")


def _words(response: Any) -> str:
    try:
        errors = response.json().get("errors") or ()
        return "; ".join(f"{one.get('code', '')}: {one.get('message', '')}".strip(": ") for one in errors)
    except (ValueError, AttributeError):
        return f"{response.status_code} {response.reason_phrase}"


def _schemes(registry: str) -> tuple[str, ...]:
    """Plain http only where a container runtime would be set up for it: on this machine, in a private network."""
    host = registry.rpartition(":")[0] if ":" in registry else registry
    host = host.strip("[]")
    if host == "localhost" or host.endswith((".local", ".internal", ".svc", ".cluster.local")) or "." not in host:
        return ("http", "https") if host == "localhost" else ("https", "http")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ("https",)
    if address.is_loopback:
        return ("http", "https")
    return ("https", "http") if address.is_private else ("https",)


def with_digest(image: str, digest: str) -> str:
    """ "name:tag" -> "name:tag@sha256:..."; one that has a digest stays."""
    return image if "@" in image or not digest else f"{image}@{digest}"


async def ask_all(images: Mapping[str, tuple[str, str] | None]) -> dict[str, Answer]:
    """Image -> answer; all asked at once, each with its login."""
    answers = await asyncio.gather(*(ask(image, login) for image, login in images.items()))
    return dict(zip(images, answers, strict=True))
