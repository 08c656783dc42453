"""Network namespaces of a test's own: made, joined by cables, and removed again. Needs root; skips visibly without."""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


def ip(*words: str) -> None:
    """Run ``ip``; a failure is the test's."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@dataclass(frozen=True)
class Namespace:
    """One namespace; ``run`` goes in front of a command."""

    name: str

    @property
    def run(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)


def needs_namespaces() -> None:
    """Skip where none can be made."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    name = f"se-{secrets.token_hex(3)}"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine makes no network namespace: {error.stderr.decode()[:100]}")
    ip("netns", "del", name)


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """So many, each with its loopback up; gone afterwards, and their cables with them."""
    made: list[Namespace] = []
    try:
        for _ in range(count):
            space = Namespace(f"se-{secrets.token_hex(4)}")
            ip("netns", "add", space.name)
            made.append(space)
            ip("-n", space.name, "link", "set", "lo", "up")
        yield made
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "del", space.name], check=False, capture_output=True, timeout=10)


@contextlib.contextmanager
def network(own: str, members: dict[Namespace, str]) -> Iterator[None]:
    """One network of the machine (at ``own``) and namespaces, by a bridge; addresses with /prefix."""
    bridge = f"se{secrets.token_hex(4)}"
    ip("link", "add", bridge, "type", "bridge")
    try:
        ip("addr", "add", own, "dev", bridge)
        ip("link", "set", bridge, "up")
        for space, address in members.items():
            here, there = (f"se{secrets.token_hex(4)}{side}" for side in "ab")
            ip("link", "add", here, "type", "veth", "peer", "name", there)  # goes with its namespace
            ip("link", "set", here, "master", bridge, "up")
            ip("link", "set", there, "netns", space.name)
            ip("-n", space.name, "addr", "add", address, "dev", there)
            ip("-n", space.name, "link", "set", there, "up")
        yield
    finally:
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True, timeout=10)


@contextlib.contextmanager
def cable(one: Namespace | None, one_address: str, two: Namespace, two_address: str) -> Iterator[None]:
    """Join two namespaces (``None``: the machine's own) by a pair of interfaces with these addresses (with /prefix)."""
    ends = [f"se{secrets.token_hex(4)}{side}" for side in "ab"]
    ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    try:
        for end, space, address in ((ends[0], one, one_address), (ends[1], two, two_address)):
            inside = () if space is None else ("-n", space.name)
            if space is not None:
                ip("link", "set", end, "netns", space.name)
            ip(*inside, "addr", "add", address, "dev", end)
            ip(*inside, "link", "set", end, "up")
        yield
    finally:  # one end takes the other along; one inside a namespace may have gone with it
        inside = () if one is None else ("-n", one.name)
        subprocess.run(["ip", *inside, "link", "del", ends[0]], check=False, capture_output=True, timeout=10)
