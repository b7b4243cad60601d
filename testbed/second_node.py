"""A second node for the stories in which one goes away: its own kubelet, containerd and pods, in the cluster's network.

Promise: `crash` ends everything of it at the same instant, as a machine without power does: nothing says goodbye to the
API server. It has a taint, so that only pods that tolerate `failback.testbed/second` land on it; it pulls its images
from the registries.
"""

from __future__ import annotations

import shutil

from testbed import configuration, namespaces, parts
from testbed.settings import SECOND, CannotRunError


def up() -> None:
    """Returns when the node is Ready; starts what of it died."""
    first = namespaces.holder()
    if not first:
        raise CannotRunError("the cluster is not up")
    if not namespaces.holder(SECOND):
        remove_state()
        configuration.write_machine(SECOND)
        namespaces.create_cgroups(SECOND)
        namespaces.create(SECOND)
    for part in (parts.containerd(SECOND), parts.kubelet(SECOND)):
        parts.start(part)
        parts.wait_until_ready(part)


def crash() -> None:
    """The first process of the node's process namespace ends, and the kernel ends all others with it."""
    if held_by := namespaces.holder(SECOND):
        held_by.end(0)


def down() -> None:
    """The node is gone from the API, too."""
    crash()
    remove_state()
    parts.kubectl("delete", "node", SECOND.name, "--ignore-not-found")


def remove_state() -> None:
    """What a node that is off leaves."""
    namespaces.remove_cgroups(SECOND)
    if SECOND.home.exists():
        shutil.rmtree(SECOND.home)
