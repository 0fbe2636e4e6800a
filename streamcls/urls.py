"""URLs of sources: what kind they are, and what of them may be shown to anybody."""

import re
from pathlib import Path


def scheme_of(url: str) -> str:
    """The kind of source a URL names; a plain path is a `file`."""
    head, colon, _ = url.partition(":")
    return head.lower() if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", head) else "file"


def file_path(url: str) -> Path:
    """The path a `file` URL or plain path names."""
    path = Path(url.removeprefix("file://"))
    try:
        return path.expanduser()
    except RuntimeError:  # ~nobody-of-this-name/clip.mp4 is then the name of a file
        return path


def host_of(url: str) -> str:
    """`host:port` of a network URL, fit for a message: never a part of a password.

    Where an @ stands beyond the place of the host, a raw character of a password may have moved
    that place, and the URL is not quoted at all.
    """
    rest = url.partition("://")[2]
    authority = rest.partition("?")[0].partition("/")[0]
    if rest.count("@") != authority.count("@"):
        return "the camera"
    return authority.rpartition("@")[2]


def trouble_with(url: str) -> str:
    """What keeps a camera's or webcam's URL from being opened, without quoting it; or nothing."""
    scheme = scheme_of(url)
    rest = url.partition(":")[2]
    if scheme == "webcam":
        name = rest.removeprefix("//")
        fine = name.isdecimal() or name.startswith("/")
        return "" if fine else "names no webcam; use webcam:0 or webcam:/dev/video0"
    authority = rest.removeprefix("//").partition("?")[0].partition("/")[0]
    host, _, port = authority.rpartition("@")[2].rpartition(":")
    if "]" in port or not _:  # an IPv6 address, or no port at all
        host, port = authority.rpartition("@")[2], "554"
    if not port.isdecimal() and "@" in rest.removeprefix(f"//{authority}"):
        return "has a raw / or ? in its password; write %2F or %3F"
    if not host:
        return "names no host"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return f"has no port from 1 to 65535 after {host}:"
    return ""


def redact(text: str) -> str:
    """Replace the credentials of every URL in a text with `***`, in the query too."""
    # The query first: a value in it may hold an @, which would draw the second rule too far.
    text = re.sub(
        r"(?i)([?&](?:user|pass|pwd|password|token|key|auth)\w*=)[^&\s'\"]*", r"\1***", text
    )
    # Greedy to the last @: a password may itself hold @ or /, and losing a host name is cheaper.
    text = re.sub(r"(\w[\w+.-]*://)\S*@", r"\1***@", text)
    # What is left of a URL after a slip of the pen, such as `rtsp//user:password@host`.
    return re.sub(r"[^\s/'\"]+:(?!//)\S*@", "***@", text)
