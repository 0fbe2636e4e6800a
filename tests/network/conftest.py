"""What the tests of bad networks need of the machine."""

from tests.conftest import NEEDS
from tests.network.links import kinds

NEEDS["netns"] = (
    lambda: bool(kinds()),
    "root, iproute2, and /dev/net/tun or the kernel's netem: apt-get install iproute2, and in a"
    " container --privileged",
)
