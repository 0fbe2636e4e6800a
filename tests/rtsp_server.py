"""An RTSP camera for tests, run by the system's Python: GStreamer's own server over TCP.

    /usr/bin/python3 rtsp_server.py --codec h264 --user admin --password secret
    /usr/bin/python3 rtsp_server.py --file clip.mp4

Prints its URL once it can be asked, and ends when its standard input is closed. A line such as
`256x96` there changes the test picture's size in mid-stream, as a setting in a camera does. A file
must be an mp4 of `--codec`; it is sent as it is encoded, at its own pace, from its start for each
client, and its end is the end of the stream.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

_ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1"
    " ! h264parse ! rtph264pay",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
    " option-string=pools=1:frame-threads=1 ! h265parse ! rtph265pay",
}
_PAYLOADERS = {"h264": "h264parse ! rtph264pay", "h265": "h265parse ! rtph265pay"}


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=sorted(_ENCODERS), default="h264")
    parser.add_argument("--file", help="an mp4 to send in place of a test picture")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--size", default="128x96")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(f"( {pipeline(options)} name=pay0 pt=96 config-interval=-1 )")
    factory.set_shared(not options.file)
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    if options.user:
        require_login(server, factory, options.user, options.password)
    server.get_mount_points().add_factory("/cam", factory)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is taken")
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/cam", flush=True)
    playing: list[GstRtspServer.RTSPMedia] = []
    factory.connect("media-configure", lambda _, media: playing.append(media))
    loop = GLib.MainLoop()

    def obey(*_: object) -> bool:
        line = sys.stdin.readline().strip()
        if not line:
            loop.quit()
            return False
        for media in playing:
            size = media.get_element().get_by_name("size")
            size.set_property("caps", Gst.Caps.from_string(raw_picture(line, options.fps)))
        return True

    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, obey)
    loop.run()


def pipeline(options: argparse.Namespace) -> str:
    """The elements up to the payloader, in gst-launch's syntax."""
    if options.file:
        return f'filesrc location="{options.file}" ! qtdemux ! {_PAYLOADERS[options.codec]}'
    picture = raw_picture(options.size, options.fps)
    source = f'videotestsrc is-live=true pattern=ball ! capsfilter name=size caps="{picture}"'
    return f"{source} ! {_ENCODERS[options.codec]}"


def raw_picture(size: str, fps: int) -> str:
    """The caps of a test picture of a size such as `128x96`."""
    width, height = size.split("x")
    return f"video/x-raw,width={width},height={height},framerate={fps}/1,format=I420"


def require_login(
    server: GstRtspServer.RTSPServer,
    factory: GstRtspServer.RTSPMediaFactory,
    user: str,
    password: str,
) -> None:
    """Answer 401 to whoever does not give this user and password."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
    auth = GstRtspServer.RTSPAuth.new()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
