"""A recorded session becomes an SVG that needs nothing else."""

import itertools
import re
from xml.etree import ElementTree

from tests.pages import ROOT
from tests.session import SHOTS, Recording, pictures, svg


def recording() -> Recording:
    """A screen drawn fifty times, each time with its number, and what is printed after it."""
    screen = b"".join(b"\x1b[H\x1b[32mdrawn %d.\x1b[0m\r\n" % number for number in range(50))
    written = b"before\r\n\x1b[?1049h" + screen + b"\x1b[?1049l\x1b[?25hthe end <&>\r\n"
    return Recording([(0.0, written[:100]), (1.0, written[100:])])


def test_pictures_at_even_distances_are_chosen_and_what_was_printed_last() -> None:
    *drawn, last = pictures(recording())
    numbers = [int(found) for shot in drawn for found in re.findall(r"drawn (\d+)", shot)]
    assert len(numbers) == SHOTS
    assert {b - a for a, b in itertools.pairwise(numbers)} <= {5, 6}
    assert last.strip() == "the end <&>"


def test_the_svg_is_well_formed_shows_each_picture_once_and_loads_nothing() -> None:
    text = svg(pictures(recording()), "make demo")
    root = ElementTree.fromstring(text)
    shown = ["".join(shot.itertext()) for shot in root.iter() if shot.get("class") == "shot"]
    assert len(shown) == SHOTS + 1
    assert "drawn" in shown[0]
    assert "the\xa0end\xa0<&>" in shown[-1]
    assert re.findall(r"https?:[^\"' )]*", text) == ["http://www.w3.org/2000/svg"]


def test_the_recorded_one_is_of_the_bundled_sample() -> None:
    text = (ROOT / "docs" / "pictures" / "demo.svg").read_text()
    ElementTree.fromstring(text)
    assert "make&#160;demo" in text
    assert "covered" in text
