"""The commands of the testbed: what they take, what they print, how they end."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed import fake_nodes, images, namespaces, node, parts, processes, second_node
from testbed import gateway as gateway_tools
from testbed import peers as peer_tools
from testbed.settings import (
    ADMIN_KUBECONFIG,
    BIN,
    CANNOT_RUN,
    HOME,
    SOURCES,
    CannotRunError,
)

USAGE_ERROR = 2


def command(work: Callable[[], int]) -> int:
    """One line for people instead of a traceback; 77 where the testbed cannot run."""
    try:
        return work()
    except CannotRunError as error:
        print(f"testbed: cannot run here: {error}", file=sys.stderr)
        return CANNOT_RUN
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


def up() -> int:
    """testbed/up"""

    def work() -> int:
        node.up()
        return 0

    return command(work)


def down() -> int:
    """testbed/down"""

    def work() -> int:
        node.check()
        node.down()
        return 0

    return command(work)


def run(arguments: Sequence[str]) -> int:
    """testbed/run CMD...: becomes that command, so that signals, streams and exit code are its own."""

    def work() -> int:
        if not arguments:
            print("usage: testbed/run COMMAND ARGUMENTS...", file=sys.stderr)
            return USAGE_ERROR
        enter()
        os.environ.update(environment())
        try:
            os.execvp(arguments[0], list(arguments))
        except FileNotFoundError:
            print(f"testbed: {arguments[0]}: no such command", file=sys.stderr)
            return 127
        except PermissionError:
            print(f"testbed: {arguments[0]}: not executable", file=sys.stderr)
            return 126

    return command(work)


def enter() -> None:
    """Into the network of the running cluster."""
    node.check()
    held_by = namespaces.holder()
    if not held_by:
        raise CannotRunError(f"the cluster is not up: run {SOURCES / 'up'} first")
    namespaces.enter_network(held_by)


def environment() -> dict[str, str]:
    """What a command inside needs on top of the caller's environment."""
    peers_built = [str(folder) for folder in peer_tools.folders_on_path()]
    return {
        "KUBECONFIG": str(ADMIN_KUBECONFIG),
        "PATH": ":".join([str(BIN), *peers_built, os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin:/sbin"]),
        "FAILBACK_TESTBED": str(SOURCES),
        "CONTAINERS_STORAGE_CONF": str(HOME / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(HOME / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
        # Nothing inside the namespace is reached through the user's proxy.
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def image(arguments: Sequence[str]) -> int:
    """testbed/image NAME FOLDER...: prints the name and digest of what it made."""
    parser = argparse.ArgumentParser(prog="testbed/image", description="Makes an image from folders and imports it.")
    parser.add_argument("name", help="shop/app:2; the tag is `latest` without one")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a layer each, the lowest first")
    parser.add_argument("--entrypoint", default="", help="the command and its arguments, as in a shell")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--workdir", default="/")
    parser.add_argument("--user", default="")
    parser.add_argument("--arch", default="amd64", help="what the image says it is for")
    parser.add_argument("--push", default="", metavar="REGISTRY/NAME:TAG", help="also send it there")
    parser.add_argument("--login", default="", metavar="USER:PASSWORD", help="for --push")
    given = parser.parse_args(arguments)

    def work() -> int:
        enter()
        env = dict(pair.split("=", 1) for pair in given.env)
        entrypoint = tuple(shlex.split(given.entrypoint))
        wanted = images.Image(given.name, tuple(given.folders), entrypoint, env, given.workdir, given.user, given.arch)
        ((name, digest),) = images.make(wanted).items()
        print(f"{name} {digest}")
        if given.push:
            images.push(given.name, given.push, given.login)
            print(f"{given.push} {digest}")
        return 0

    return command(work)


def part(arguments: Sequence[str]) -> int:
    """testbed/part ACTION NAME: ends or starts one process of the node, as a failure would."""
    all_parts = {one.name: one for one in parts.parts()}
    parser = argparse.ArgumentParser(prog="testbed/part", description="Ends or starts one process of the node.")
    parser.add_argument("action", choices=("pid", "stop", "kill", "start", "restart"))
    parser.add_argument("name", choices=tuple(all_parts))
    given = parser.parse_args(arguments)

    def work() -> int:
        enter()
        running = processes.recorded(given.name)
        if given.action == "pid":
            if running:
                print(running.pid)
            return 0 if running else 1
        if given.action != "start" and running:
            running.end(0 if given.action == "kill" else processes.STOP_S_MAX)
        if given.action in ("start", "restart"):
            parts.start(all_parts[given.name])
            parts.wait_until_ready(all_parts[given.name])
        return 0

    return command(work)


def second(arguments: Sequence[str]) -> int:
    """testbed/second-node ACTION: a node that tests may switch off."""
    actions = {"up": second_node.up, "crash": second_node.crash, "down": second_node.down}
    parser = argparse.ArgumentParser(prog="testbed/second-node", description="A second node, to be switched off.")
    parser.add_argument("action", choices=tuple(actions))
    given = parser.parse_args(arguments)

    def work() -> int:
        enter()
        with node.locked():
            actions[given.action]()
        return 0

    return command(work)


def fake(arguments: Sequence[str]) -> int:
    """testbed/fake-nodes ACTION [COUNT]: nodes for thousands of pods that do not run."""
    parser = argparse.ArgumentParser(prog="testbed/fake-nodes", description="Nodes for pods that do not run (kwok).")
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("count", nargs="?", type=int, default=1)
    given = parser.parse_args(arguments)

    def work() -> int:
        node.check()
        if given.action == "up":
            fake_nodes.kwok()  # built before we leave the network in which modules can be downloaded
        enter()
        with node.locked():
            if given.action == "up":
                fake_nodes.up(given.count)
            else:
                fake_nodes.down()
        return 0

    return command(work)


def gateway(arguments: Sequence[str]) -> int:
    """testbed/gateway ACTION: something that acts on HTTPRoutes. Prints where it is reached and where it counts."""
    parser = argparse.ArgumentParser(prog="testbed/gateway", description="A gateway for HTTPRoutes (Contour, Envoy).")
    parser.add_argument("action", choices=("up", "down"))
    given = parser.parse_args(arguments)

    def work() -> int:
        node.check()
        peer_tools.build(gateway_tools.peer())  # before we leave the network in which modules can be downloaded
        enter()
        with node.locked():
            if given.action == "up":
                gateway_tools.up()
                print(f"{gateway_tools.ADDRESS} {gateway_tools.METRICS}")
            else:
                gateway_tools.down()
        return 0

    return command(work)


def peers(arguments: Sequence[str]) -> int:
    """testbed/peers [NAME...]: builds the tools of the head-to-head bench; prints the folder of each."""
    known = {peer.name: peer for peer in peer_tools.ALL}
    parser = argparse.ArgumentParser(prog="testbed/peers", description="Builds the tools of the head-to-head bench.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(known)}; all without one")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: known are {', '.join(known)}")

    def work() -> int:
        for name in given.names or known:
            print(f"{name} {known[name].version} {peer_tools.build(known[name])}")
        return 0

    return command(work)
