"""Images that can't be pulled, in the words of containerd, registries and the kubelet, and pulls that are only slow."""

from __future__ import annotations

from dataclasses import replace

from tests.detection.scene import GOOD, fires, look_alike, said, view, waiting

RESOLVE = (
    'rpc error: code = Unknown desc = failed to pull and unpack image "reg.example/web:9": failed to '
    'resolve reference "reg.example/web:9": '
)
NOT_FOUND = (
    'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/web:9": '
    'failed to resolve reference "docker.io/library/web:9": docker.io/library/web:9: not found'
)
UNAUTHORIZED = (
    RESOLVE + "unexpected status from HEAD request to https://reg.example/v2/web/manifests/9: 401 Unauthorized"
)
ACCESS_DENIED = (
    RESOLVE + "pull access denied, repository does not exist or may require authorization: server "
    "message: insufficient_scope: authorization failed"
)
REFUSED = (
    RESOLVE + 'failed to do request: Head "https://reg.example/v2/web/manifests/9": dial tcp '
    "10.0.0.9:443: connect: connection refused"
)
RATE = (
    RESOLVE + "unexpected status from HEAD request to https://reg.example/v2/web/manifests/9: 429 Too "
    "Many Requests - toomanyrequests: You have reached your unauthenticated pull rate limit"
)
TOKEN_AWAY = (
    RESOLVE + 'failed to authorize: failed to fetch anonymous token: Get "https://auth.example/token": '
    "dial tcp: lookup auth.example on 10.96.0.10:53: i/o timeout"
)
NO_NAME = 'failed to parse image reference "UPPER/case:1": invalid reference format: repository name must be lowercase'
PLATFORM = 'failed to pull and unpack image "reg.example/web:9": no match for platform in manifest: not found'
UNTRUSTED = (
    RESOLVE + 'failed to do request: Head "https://reg.example/v2/": tls: failed to verify certificate: '
    "x509: certificate signed by unknown authority"
)
BACK_OFF = 'Back-off pulling image "reg.example/web:9"'

pulling = waiting("ErrImagePull", NOT_FOUND)
backing_off = waiting("ImagePullBackOff", BACK_OFF)

FIRES = (
    fires(
        "image-name-invalid", view(waiting("ErrImagePull", NO_NAME), GOOD), "containerd's words for a name that is none"
    ),
    fires("image-not-found", view(pulling, GOOD), "the first error already says that there is no such tag"),
    fires(
        "image-not-found",
        view(waiting("ErrImagePull", "manifest unknown: manifest unknown"), GOOD),
        "a registry's own words",
    ),
    fires(
        "image-not-found",
        view(waiting("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {NOT_FOUND}"), GOOD),
        "newer kubelets repeat the error while they back off",
    ),
    fires(
        "image-not-found",
        view(backing_off, GOOD, says=(said("Failed", f'Failed to pull image "web:9": {NOT_FOUND}'),)),
        "the event has the first error where the state only backs off",
    ),
    fires(
        "image-not-found",
        view(waiting("ErrImagePull", NOT_FOUND, container="proxy"), GOOD),
        "a sidecar's image is as much the release's",
    ),
    fires(
        "image-not-found",
        view(waiting("ErrImagePull", NOT_FOUND, container="setup", init=True), GOOD),
        "an init container's image too",
    ),
    fires("image-denied", view(waiting("ErrImagePull", UNAUTHORIZED), GOOD), "401 by status"),
    fires(
        "image-denied",
        view(waiting("ErrImagePull", ACCESS_DENIED), GOOD),
        "a denial that speaks of not existing as well",
    ),
    fires(
        "image-wrong-platform",
        view(waiting("ErrImagePull", PLATFORM), GOOD),
        "an index without this architecture, not a missing tag",
    ),
    fires(
        "image-registry-untrusted", view(waiting("ErrImagePull", UNTRUSTED), GOOD), "a certificate that nobody signed"
    ),
    fires("image-registry-unavailable", view(waiting("ErrImagePull", REFUSED), GOOD, at_s=61), "refused for a minute"),
    fires(
        "image-registry-unavailable",
        view(waiting("ErrImagePull", RATE), GOOD, at_s=61),
        "the rate limit has not gone in a minute",
    ),
    fires(
        "image-registry-unavailable",
        view(waiting("ErrImagePull", "who knows"), GOOD, at_s=61),
        "an unknown error for a minute",
    ),
    fires(
        "image-name-invalid",
        view(waiting("InvalidImageName", 'couldn\'t parse image reference "Web:9"'), GOOD),
        "no registry is asked",
    ),
    fires(
        "image-name-invalid",
        view(waiting("ErrImageNeverPull", "not present with pull policy of Never"), GOOD),
        "nor here",
    ),
)

LOOK_ALIKES = (
    look_alike(
        "image-not-found", view(backing_off, GOOD), "back-off alone may be a slow registry", instead="pull-backs-off"
    ),
    look_alike(
        "image-not-found",
        view(GOOD, GOOD, says=(said("Failed", f'Failed to pull image "web:9": {NOT_FOUND}'),)),
        "the event is old and the replica runs by now",
    ),
    look_alike(
        "image-not-found",
        view(replace(pulling, deleted=True), GOOD, wanted=1, at_s=4),
        "the pod was deleted",
        instead="all-seen",
    ),
    look_alike(
        "image-denied", view(waiting("ErrImagePull", RATE), GOOD), "a rate limit speaks of authentication and passes"
    ),
    look_alike(
        "image-denied",
        view(waiting("ErrImagePull", TOKEN_AWAY), GOOD),
        "failed to authorize, as the token server is away",
    ),
    look_alike(
        "image-denied",
        view(
            waiting("ErrImagePull", 'failed to pull "reg.example/denied-401:1": reg.example/denied-401:1: i/o timeout'),
            GOOD,
        ),
        "the image's own name is no answer",
    ),
    look_alike(
        "image-wrong-platform",
        view(waiting("ErrImagePull", "reading platform list: unexpected EOF"), GOOD),
        "a broken connection",
    ),
    look_alike(
        "image-registry-untrusted",
        view(waiting("ErrImagePull", 'Head "https://reg.example/v2/": net/http: TLS handshake timeout'), GOOD),
        "TLS that is slow is not TLS that is refused",
    ),
    look_alike(
        "image-registry-unavailable", view(waiting("ErrImagePull", REFUSED), GOOD, at_s=59), "a registry may restart"
    ),
    look_alike(
        "image-registry-unavailable",
        view(
            waiting("ErrImagePull", REFUSED),
            GOOD,
            at_s=80,
            says=(said("Failed", f"Failed to pull image: {REFUSED}", at_s=25),),
        ),
        "it was first told 55 s ago, after a slow scheduling",
    ),
    look_alike(
        "image-registry-unavailable",
        view(waiting("ContainerCreating"), GOOD, at_s=400),
        "a pull of a large image over a slow line says nothing for minutes",
        instead="being-started",
    ),
    look_alike(
        "image-name-invalid",
        view(waiting("ErrImagePull", REFUSED + " invalid"), GOOD),
        "the reason decides, not a word in the text",
    ),
)
