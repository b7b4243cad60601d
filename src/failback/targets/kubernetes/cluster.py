"""The API server, in plain objects.

Promise: reads and writes ride out a restart of the server (`wire`). A write may be sent twice by that, so every write
of failback carries a condition (a `test` on what was read) or has one effect however often it arrives.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from failback.model.errors import TargetUnavailable
from failback.targets.kubernetes import access
from failback.targets.kubernetes.failures import Conflict, NotFound, failure
from failback.targets.kubernetes.kinds import KINDS, Kind, Object
from failback.targets.kubernetes.wire import Wire

MANAGER = "failback"
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_CHANGES_MAX = 20
_LOG_LINE_MAX = 64 * 1024
_BODY_BYTES_MAX = 256 * 1024
_LOG_PIECE = 16 * 1024  # how long a line of a log file is at most; a longer one is kept in pieces
_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"

Patch = list[dict[str, Any]]


class Cluster:
    """One API server and one namespace. `namespace=None`: the context's own."""

    def __init__(self, context: str | None = None, namespace: str | None = None) -> None:
        config = access.load(context)
        self._wire = Wire(config)
        self.context: str = config.context_name
        self.namespace: str = namespace or config.namespace
        self.server: str = self._wire.server
        self._discovered: dict[tuple[str, str], Kind] = {}

    # Reading

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object; None where it is not there."""
        try:
            return await self._wire.json("GET", await self.path(kind, name, namespace=namespace), kind=kind)
        except NotFound:
            return None

    async def find(
        self, kind: str, *, labels: str = "", fields: str = "", namespace: str | None = None, everywhere: bool = False
    ) -> list[Object]:
        """All objects that the selectors name; each has its kind and apiVersion."""
        return (await self.listing(kind, labels=labels, fields=fields, namespace=namespace, everywhere=everywhere))[0]

    async def few(self, kind: str, most: int, *, fields: str = "") -> list[Object] | None:
        """All objects of all namespaces; None where there are more than `most`, of which no more is read then."""
        found = await self.kind(kind)
        parameters = {**_selectors("", fields), "limit": most}
        answer = await self._wire.json("GET", found.path(None), parameters, kind=kind)
        return None if answer["metadata"].get("continue") else list(answer.get("items") or ())

    async def listing(
        self, kind: str, *, labels: str = "", fields: str = "", namespace: str | None = None, everywhere: bool = False
    ) -> tuple[list[Object], str]:
        """The objects, and the resourceVersion from which a watch goes on."""
        found = await self.kind(kind)
        place = None if everywhere else namespace or self.namespace
        answer = await self._wire.json("GET", found.path(place), _selectors(labels, fields), kind=kind)
        items = [{"apiVersion": found.api_version, "kind": found.name, **item} for item in answer.get("items") or ()]
        return items, str(answer["metadata"]["resourceVersion"])

    async def logs(
        self, pod: str, container: str, *, previous: bool = False, tail_bytes: int = 65536, since_s: int | None = None
    ) -> str:
        """The end of one container's log; "" where there is none (never started, or cleaned away).

        Raises TargetUnavailable, soon where it is only the node that does not answer.
        """
        place = await self.path("Pod", pod, "log")
        parameters: dict[str, Any] = {"container": container, "limitBytes": tail_bytes * 16, "tailLines": 2000}
        if previous:
            parameters["previous"] = "true"
        if since_s is not None:
            parameters["sinceSeconds"] = since_s
        try:
            content = bytes((await self._wire.send("GET", place, parameters, kind="log", behind=True)).content)
            if len(content) >= tail_bytes * 16:
                # The limit counts from the first of these lines on: of long ones it has cut off the end.
                fewer = {**parameters, "tailLines": max(1, tail_bytes // _LOG_PIECE)}
                content = bytes((await self._wire.send("GET", place, fewer, kind="log", behind=True)).content)
        except TargetUnavailable:
            raise
        except Exception:  # noqa: BLE001 - "container is waiting to start", "not found": there is no log
            return ""
        return content[-tail_bytes:].decode("utf-8", "replace")

    async def follow(self, pod: str, container: str, *, since_s: int | None = None) -> AsyncGenerator[bytes, None]:
        """The lines of a container's log as they come; ends with the container. Longer lines come in pieces."""
        parameters: dict[str, Any] = {"container": container, "follow": "true"}
        if since_s is not None:
            parameters["sinceSeconds"] = since_s
        async for line in self._wire.stream(
            await self.path("Pod", pod, "log"), parameters, "log-follow", _LOG_LINE_MAX
        ):
            yield line

    async def through_pod(
        self,
        pod: str,
        port: int,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> tuple[int, str]:
        """One request to a pod through the API server's own proxy: the answer's status, and its body's beginning."""
        place = await self.path("Pod", f"{pod}:{port}", "proxy")
        self.requests["proxy pod"] += 1
        asking = self._wire.connected().stream(method, place + path, headers=dict(headers or {}), timeout=timeout_s)
        body = bytearray()
        async with asking as response:
            async for part in response.aiter_bytes():
                body += part[: _BODY_BYTES_MAX - len(body)]
                if len(body) >= _BODY_BYTES_MAX:
                    break
            return int(response.status_code), body.decode("utf-8", "replace")

    async def can(self, verb: str, kind: str, *, name: str = "", sub: str = "") -> bool:
        """Whether this account may do it (SelfSubjectAccessReview)."""
        found = await self.kind(kind)
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "namespace": self.namespace if found.namespaced else "",
                    "verb": verb,
                    "group": found.group,
                    "resource": found.plural,
                    "subresource": sub,
                    "name": name,
                }
            },
        }
        answer = await self._wire.json(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body=review,
            kind="SelfSubjectAccessReview",
        )
        return bool((answer.get("status") or {}).get("allowed"))

    async def read(self, path: str, parameters: Mapping[str, Any] | None = None, *, kind: str) -> Object:
        """Any other address of the API server that answers with JSON; `kind` names it in `requests`."""
        return await self._wire.json("GET", path, parameters, kind=kind)

    async def version(self) -> str:
        return str((await self._wire.json("GET", "/version", kind="version")).get("gitVersion", ""))

    # Writing

    async def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Raises AlreadyExists."""
        found = await self.kind(obj["kind"], obj.get("apiVersion", ""))
        place = found.path(_namespace_of(obj, self.namespace))
        return await self._wire.json("POST", place, _write(dry_run), body=obj, kind=found.name)

    async def apply(self, obj: Object, *, dry_run: bool = False, force: bool = True, manager: str = MANAGER) -> Object:
        """Server-side apply. With a `metadata.resourceVersion` it is refused (Conflict) after any change."""
        found = await self.kind(obj["kind"], obj.get("apiVersion", ""))
        place = found.path(_namespace_of(obj, self.namespace), obj["metadata"]["name"])
        parameters = {**_write(dry_run, manager), "force": "true" if force else "false"}
        return await self._wire.json("PATCH", place, parameters, body=obj, content=_APPLY, kind=found.name)

    async def patch(
        self,
        kind: str,
        name: str,
        operations: Patch,
        *,
        dry_run: bool = False,
        namespace: str | None = None,
        sub: str | None = None,
    ) -> Object:
        """JSON Patch. Raises Conflict where a `test` of it does not hold."""
        place = await self.path(kind, name, sub, namespace)
        return await self._wire.json("PATCH", place, _write(dry_run), body=operations, content=_JSON_PATCH, kind=kind)

    async def merge(
        self, kind: str, name: str, body: Object, *, dry_run: bool = False, sub: str | None = None
    ) -> Object:
        """JSON Merge Patch, for objects that are failback's own."""
        place = await self.path(kind, name, sub)
        return await self._wire.json("PATCH", place, _write(dry_run), body=body, content=_MERGE_PATCH, kind=kind)

    async def replace(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Update with the object's resourceVersion as its condition."""
        found = await self.kind(obj["kind"], obj.get("apiVersion", ""))
        place = found.path(_namespace_of(obj, self.namespace), obj["metadata"]["name"])
        return await self._wire.json("PUT", place, _write(dry_run), body=obj, kind=found.name)

    async def delete(
        self,
        kind: str,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        grace_s: int | None = None,
        namespace: str | None = None,
    ) -> bool:
        """Deletes it (only the one with that uid, where given); False where it was not there."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            await self._wire.json("DELETE", await self.path(kind, name, namespace=namespace), body=options, kind=kind)
        except NotFound:
            return False
        except Conflict:
            return False  # another object has the name by now
        return True

    async def change(self, kind: str, name: str, operations_for: Callable[[Object], Patch]) -> Object:
        """Reads, asks what to write (nothing: its effect is there), writes under the condition that nobody wrote
        meanwhile, and begins anew after a conflict. `operations_for` sees each fresh state, so it can refuse it."""
        for tries in range(_CHANGES_MAX):
            current = await self.get(kind, name)
            if current is None:
                raise NotFound(f"{kind} {name} is not there any more.", status=404, api_error={})
            operations = operations_for(current)
            if not operations:
                return current
            held = {"op": "test", "path": "/metadata/resourceVersion", "value": current["metadata"]["resourceVersion"]}
            try:
                return await self.patch(kind, name, [held, *operations])
            except Conflict:
                await asyncio.sleep(_PAUSES_S[min(tries, 3)])
        raise Conflict(f"{kind} {name} is written by others all the time: {_CHANGES_MAX} tries failed.", status=409)

    # Watching

    async def watch(
        self, kind: str, since: str, *, labels: str = "", fields: str = "", namespace: str | None = None
    ) -> AsyncIterator[tuple[str, Object]]:
        """("ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK", object) from a resourceVersion on; ends when the server ends
        it or the connection is lost. Raises WatchExpired where the history is gone. `mirror.Mirror` keeps one going."""
        found = await self.kind(kind)
        parameters = {
            **_selectors(labels, fields),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": 290,
        }
        async for line in self._wire.stream(found.path(namespace or self.namespace), parameters, f"watch {kind}"):
            event = json.loads(line)
            obj = event["object"]
            if event["type"] == "ERROR":
                raise failure("WATCH", kind, int(obj.get("code") or 500), line_of(obj))
            yield event["type"], {"apiVersion": found.api_version, "kind": found.name, **obj}

    # Kinds

    async def kind(self, name: str, api_version: str = "") -> Kind:
        """The kind of a manifest; the server is asked for those that are not in the table. Raises NotFound."""
        known = KINDS.get(name)
        if known is not None and api_version in ("", known.api_version):
            return known
        if not api_version:
            raise NotFound(f"failback does not know the kind {name}.", status=404, api_error={})
        key = (api_version, name)
        if key not in self._discovered:
            root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                found_there = (await self._wire.json("GET", root, kind="discovery")).get("resources") or ()
            except NotFound:
                found_there = ()
            for resource in found_there:
                if "/" not in resource["name"]:
                    found = Kind(resource["kind"], api_version, resource["name"], bool(resource["namespaced"]))
                    self._discovered[api_version, resource["kind"]] = found
        if key not in self._discovered:
            message = f'no matches for kind "{name}" in version "{api_version}"'  # as kubectl says it
            status = {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": message}
            raise NotFound(message, status=404, api_error=status)
        return self._discovered[key]

    async def path(self, kind: str, name: str, sub: str | None = None, namespace: str | None = None) -> str:
        return (await self.kind(kind)).path(namespace or self.namespace, name, sub)

    @property
    def requests(self) -> Counter[str]:
        """What was asked so far, by verb and kind."""
        return self._wire.requests

    @property
    def refused(self) -> Mapping[str, Any] | None:
        """The Status of the last write that the server refused for good."""
        return self._wire.refused

    async def close(self) -> None:
        await self._wire.close()


def test_of(path: str, value: Any) -> dict[str, Any]:
    """A JSON Patch condition."""
    return {"op": "test", "path": path, "value": value}


def pointer(*parts: str | int) -> str:
    """A JSON Pointer; "/" and "~" in the parts are escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def line_of(obj: Any) -> bytes:
    return json.dumps(obj).encode()


def _selectors(labels: str, fields: str) -> dict[str, Any]:
    return {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}


def _write(dry_run: bool, manager: str = MANAGER) -> dict[str, Any]:
    return {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}


def _namespace_of(obj: Mapping[str, Any], default: str) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or default)


__all__: Sequence[str] = ("MANAGER", "Cluster", "Object", "Patch", "pointer", "test_of")
