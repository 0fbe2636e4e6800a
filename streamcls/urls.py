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
    except (RuntimeError, ValueError):  # ~nobody-of-this-name/clip.mp4 is then a file's name
        return path


def host_of(url: str) -> str:
    """`host:port` of a network URL, fit for a message: never a part of a password.

    Where an @ stands beyond the place of the host, a raw character of a password may have moved
    that place, and the URL is not quoted at all.
    """
    authority = _authority(url)
    if url.count("@") != authority.count("@"):
        return "the camera"
    return authority.rpartition("@")[2]


def trouble_with(url: str) -> str:
    """What keeps a camera's or webcam's URL from being opened, without quoting it; or nothing."""
    if scheme_of(url) == "webcam":
        name = url.partition(":")[2].removeprefix("//")
        fine = name.startswith("/") or re.fullmatch("[0-9]{1,4}", name)
        return "" if fine else "names no webcam; use webcam:0 or webcam:/dev/video0"
    # What is no text, too: bytes from the environment that are not UTF-8.
    if re.search(r"[\s\x00-\x1f\x7f\ud800-\udfff]", url):
        return "has a space or a control character in it; write a space as %20"
    authority = _authority(url)
    address, bracket, rest = authority.rpartition("@")[2].rpartition("]")  # [::1]:554
    name, colon, port = rest.partition(":")
    host = address + bracket + name
    bad_port = colon and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536)
    if bad_port and url.count("@") != authority.count("@"):
        return "has a raw /, ? or # in its password; write %2F, %3F or %23"
    if not host:
        return "names no host"
    return "has no port from 1 to 65535 after its host" if bad_port else ""


def redact(text: str) -> str:
    """Replace the credentials of every URL in a text with `***`, in the query too.

    The time it takes grows with the length of the text alone, whatever a camera answered.
    """
    # The query first: a value in it may hold an @, which would draw the second rule too far.
    text = re.sub(
        r"(?i)([?&](?:user|pass|pwd|password|token|key|auth)\w*=)[^&\s'\"]*", r"\1***", text
    )
    return re.sub(r"\S+", _without_credentials, text) if "@" in text else text


def _authority(url: str) -> str:
    """`user:password@host:port`, which ends for FFmpeg too at the first of these."""
    return re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]


def _without_credentials(word: re.Match[str]) -> str:
    """A word without what stands before its last @, if that may be a user and a password.

    To the last @: a password may itself hold @ or /, and losing a host name is cheaper. A colon
    alone tells of what is left of a URL after a slip of the pen, as `rtsp//user:password@host`.
    """
    before, at, host = word[0].rpartition("@")
    sign = re.search(r"://|[^/'\"]:(?!//)", before)
    if not sign:
        return word[0]
    start = sign.end()
    if sign[0] != "://":
        start = 1 + max(before.rfind(mark, 0, sign.start()) for mark in "/'\"")
    return f"{before[:start]}***{at}{host}"
