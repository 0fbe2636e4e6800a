"""The addresses a daemon listens on: free, or whose."""

import errno
import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from streamcls.config import HttpSettings
from streamcls.doctor.finding import Finding, Level, Subject

_PATIENCE_S = 5.0
_VERSION = re.compile(r'^streamcls_build_info\{[^}]*\bversion="([^"]+)"', re.MULTILINE)


def look(subject: Subject) -> Iterator[Finding]:
    """Each address, with the setting that it comes from."""
    version = _version_at(subject.http)
    taken: Level = "error" if subject.is_given else "warning"
    endpoints = {"events": subject.publish.endpoint, "replays": subject.publish.replay}
    for name, endpoint in endpoints.items():
        scheme, _, address = endpoint.partition("://")
        host, _, port = address.rpartition(":")
        remedy = f"set another `{'replay_' * (name == 'replays')}endpoint` in [publish]"
        if scheme == "ipc":
            yield _ipc(name, Path(address), taken, remedy)
        elif port == "*":
            yield Finding(name, "ok", f"{host}, any free port")
        else:
            yield _finding(name, host, int(port), version, taken, remedy)
    if not subject.http.enabled:
        yield Finding("http", "note", "off: no metrics, no page")
    else:
        host, number = subject.http.host, subject.http.port
        yield _finding("http", host, number, version, taken, "set another `port` in [http]")


def _finding(name: str, host: str, port: int, version: str, taken: Level, remedy: str) -> Finding:
    trouble = _trouble(host.strip("[]"), port)
    told = f"{host}:{port}"
    if not trouble:
        return Finding(name, "ok", f"{told} is free")
    if trouble == errno.EADDRINUSE and version:
        return Finding(name, "ok", f"{told} is in use, and a streamcls {version} runs here")
    if trouble == errno.EADDRINUSE:
        return Finding(name, taken, f"{told} is another program's", remedy)
    return Finding(name, taken, f"{told} cannot be used: {os.strerror(trouble)}", remedy)


def _ipc(name: str, path: Path, taken: Level, remedy: str) -> Finding:
    if path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK):
        return Finding(name, "ok", f"{path}, in a folder that can be written")
    return Finding(name, taken, f"{path.parent} is not a folder that can be written", remedy)


def _trouble(host: str, port: int) -> int:
    """The error number of listening there; 0: none."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            None if host == "*" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:  # the name of a network interface, which ZeroMQ takes
        return 0
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _version_at(http: HttpSettings) -> str:
    """Of the daemon that answers at this address; empty where none does."""
    if not http.enabled or not http.port:
        return ""
    # Whatever proxy there is for other hosts, this one is asked itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{http.host}:{http.port}/metrics", timeout=_PATIENCE_S) as answer:
            found = _VERSION.search(answer.read().decode())
    except (OSError, ValueError, HTTPException):
        return ""
    return found[1] if found else ""
