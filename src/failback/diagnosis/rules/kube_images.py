"""Pods whose image cannot be pulled: the kubelet's and containerd's words."""

from __future__ import annotations

import re

from failback.diagnosis.kube import text
from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.kube import container_of, in_namespace, patch, workload
from failback.diagnosis.rule import Hypothesis
from failback.diagnosis.rules.images import classify_pull, pull_cause, pull_fixes
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import FailureType, Recommendation

_PULLS = "ErrImagePull|ImagePullBackOff|Failed|BackOff|InspectFailed|ImageInspectError|RegistryUnavailable|ErrImageNeverPull|InvalidImageName|SignatureValidationFailed|FailedToRetrieveImagePullSecret"
_IMAGE = (
    r"(?:[Ff]ailed to pull image|Back-off pulling image|unpack image|resolve reference|[Ff]ailed to inspect image|Container image|apply invalid image name|resolve image) \\?\"([^\"\\]+)\\?\"",
    r"couldn't parse image (?:name|reference) \\?\"?([^\"\\\s:]+\S*?)\\?\"?:",
)


@statement_rule(
    "pod-image-pull",
    _PULLS,
    r"pull|image",
    source="kubelet's ErrImagePull, ImagePullBackOff, InvalidImageName; containerd's resolver; the registry's answers",
)
def image_pull(told: Told) -> Hypothesis | None:
    """The kubelet cannot pull an image; the reason stands in the registry's answer that it passes on."""
    _scene, said = told.scene, told.statement
    message = said.message
    image = _image(told)
    kind = _kind(said.reason, message)
    if kind is None:
        if (
            said.reason not in ("ErrImagePull", "ImagePullBackOff", "BackOff")
            or "image" not in message.lower()
            or "restarting" in message
        ):
            return None
        return Hypothesis(
            FailureType.IMAGE_NOT_FOUND,
            f"The image {image} cannot be pulled (tag or repository not found, no access, or no way to the registry; the kubelet's first message is not in the evidence): {message[:240]}",
            0.6,
            _fixes(told, FailureType.IMAGE_NOT_FOUND, image),
            names=(image,),
        )
    local = said.reason == "ErrImageNeverPull" or "policy is Never" in message or "pull policy of Never" in message
    cause = pull_cause(kind, image, message)
    if local:
        cause = f"The image {image} is not found on the node, and imagePullPolicy: Never forbids to pull it: {message[:240]}"
    if said.reason == "InvalidImageName" or "invalid reference format" in message or "couldn't parse image" in message:
        cause = f"The image name {image!r} is invalid, so the image cannot be found (invalid reference format): {message[:240]}"
    return Hypothesis(
        kind,
        cause,
        0.97,
        _fixes(told, kind, image),
        names=tuple(part for part in (image, image.rpartition(":")[0]) if len(part) > 3),
        facts={"image": image},
    )


def _kind(reason: str, message: str) -> FailureType | None:
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        return FailureType.IMAGE_NOT_FOUND
    if "imagePullPolicy" in message or "pull policy of Never" in message:
        return FailureType.IMAGE_NOT_FOUND
    cut = re.sub(r"Back-off pulling image \\?\"[^\"]*\\?\"", "", message)
    cut = re.sub(r"(?:sha256:[0-9a-f]+)", "", cut)
    return classify_pull(cut)


def _image(told: Told) -> str:
    for pattern in _IMAGE:
        match = re.search(pattern, told.statement.message)
        if match and match.group(1):
            return match.group(1)
    named = text(container_of(told.scene, told.statement), "image")
    return named or "named in the manifest"


def _fixes(told: Told, kind: FailureType, image: str) -> tuple[Recommendation, ...]:
    scene, said = told.scene, told.statement
    owner = workload(scene, said)
    fixes = pull_fixes(kind, image, said.message, scene, f"the {owner[0]} {owner[1]}")
    if kind is FailureType.IMAGE_NOT_FOUND:
        base = image.rpartition(":")[0] if ":" in image.rsplit("/", 1)[-1] else image
        example = f"kubectl set image {owner[0].lower()}/{owner[1]}{in_namespace(scene)} {said.container or 'app'}={base or image}:EXISTING_TAG"
        return (fixes[0], high("Set a tag that exists", f"Point the {owner[0]} {owner[1]} to an image and tag that were pushed (see the list of tags in the registry)", example), *fixes[1:])  # fmt: skip
    if kind is FailureType.IMAGE_ACCESS_DENIED:
        return (*fixes, high("Reference the pull secret in the pod", f"Add imagePullSecrets with the credentials for {image} to the pod template of {owner[1]} (or to its ServiceAccount)", patch(scene, said, said.container, f"image: {image}").replace("      containers:", "      imagePullSecrets:\n        - name: regcred\n      containers:")))  # fmt: skip
    return fixes
