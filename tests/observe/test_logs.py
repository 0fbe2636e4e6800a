"""The log: readable where people read, JSON where systemd does, repeats counted, no password."""

import json
import logging
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.observe.repeats import Repeats
from tests.pipeline.stubs import ManualClock

PROGRAM = """
import logging
from streamcls.config import LogSettings
from streamcls.observe.logs import log_fault, log_to_stderr, logger_for
log_to_stderr(LogSettings(format={style!r}, level={level!r}))
{body}
"""


def logged(body: str, *, style: str = "text", level: str = "info", journal: bool = False) -> str:
    """What a process that runs this body writes to its standard error."""
    environment = {name: text for name, text in os.environ.items() if name != "JOURNAL_STREAM"}
    read, write = os.pipe()
    status = os.fstat(write)
    if journal:
        environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    program = PROGRAM.format(style=style, level=level, body=body)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=write, env=environment)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    assert process.wait() == 0, text
    return text


SAY = 'logger_for("front-door").warning("backoff %s", "no answer")'


def test_a_line_for_people_has_its_time_level_and_stream() -> None:
    line = logged(SAY)
    assert line.endswith(" WARNING [front-door] backoff no answer\n")
    assert line[:2] == "20"


def test_a_line_for_machines_is_one_json_object_with_the_stream() -> None:
    line = json.loads(logged(SAY, style="json"))
    assert line["time"].endswith("+00:00")
    del line["time"]
    assert line == {"level": "WARNING", "message": "backoff no answer", "stream": "front-door"}


def test_it_is_json_by_itself_where_systemds_journal_reads_it() -> None:
    assert logged(SAY, style="auto", journal=True).startswith("{")
    assert logged(SAY, style="auto").startswith("20")
    # A variable inherited from elsewhere names another stream.
    assert logged(SAY, style="text", journal=True).startswith("20")


def test_a_fault_is_one_json_line_with_its_whole_trace() -> None:
    body = 'try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    log_fault("cam", error)'
    line = json.loads(logged(body, style="json"))
    assert line["stream"] == "cam"
    assert "ZeroDivisionError: division by zero" in line["message"]
    assert "please report it" in line["message"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_credential_gets_out_not_even_by_a_librarys_own_trace(style: str) -> None:
    url = "rtsp://admin:hunter2@192.0.2.1/live?token=hunter2"
    body = (
        f'logging.getLogger("some.library").warning("cannot open {url}")\n'
        f'try:\n    raise OSError("{url}")\nexcept OSError:\n'
        '    logging.getLogger("some.library").exception("failed")\n'
    )
    text = logged(body, style=style)
    assert "192.0.2.1" in text
    assert "hunter2" not in text


def test_what_is_hidden_leaves_a_json_line_whole() -> None:
    body = (
        'logging.getLogger("lib").warning(\'open "rtsp://h/1?token=hunter2"\\n@once\','
        ' extra={"tried": ["rtsp://u:hunter2@h/1"], "attempt": 3})'
    )
    line = json.loads(logged(body, style="json"))
    assert line["message"] == 'open "rtsp://h/1?token=***"\n@once'
    assert (line["tried"], line["attempt"]) == ("['rtsp://***@h/1']", 3)


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_library_that_logs_wrongly_harms_nobody_and_tells_nothing(style: str) -> None:
    body = (
        'for _ in range(3):\n    logging.getLogger("lib").warning("%s %s", "rtsp://u:hunter2@h")\n'
        'logging.getLogger("lib").warning({"no": ["text"]})'
    )
    text = logged(body, style=style)
    assert "hunter2" not in text
    assert "a line of the log is lost, of <string>:" in text
    assert "no" in text.splitlines()[1]


def test_a_level_may_be_set_again_and_no_line_comes_twice() -> None:
    body = (
        "logger_for('a').debug('unseen')\n"
        "log_to_stderr(LogSettings(format='json', level='debug'))\n"
        "logger_for('a').debug('seen')"
    )
    lines = logged(body).splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["seen"]


def test_what_repeats_is_told_once_and_its_last_one_at_the_end_with_a_count() -> None:
    body = 'for i in range(40):\n    logger_for("cam").warning("backoff %d", i)'
    lines = [line.rpartition("] ")[2] for line in logged(body).splitlines()]
    assert lines == ["backoff 0", "backoff 39 (and 38 more like it)"]


def test_a_log_that_nobody_reads_holds_up_nobody() -> None:
    program = PROGRAM.format(
        style="text",
        level="info",
        body="for i in range(30_000):\n    logger_for(str(i)).info('x' * 50)\nprint('done')",
    )
    read, write = os.pipe()
    try:
        result = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=write,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        os.close(read)
        os.close(write)
    assert result.stdout == "done\n"


def record(message: str = "backoff %s", value: str = "x", stream: str = "cam") -> logging.LogRecord:
    made = logging.LogRecord("streamcls", logging.WARNING, "", 0, message, (value,), None)
    made.stream = stream
    return made


def test_other_streams_and_other_messages_are_not_held_back() -> None:
    repeats = Repeats(ManualClock())
    records = [record(), record(stream="other"), record("up %s")]
    assert [told for one in records for told in repeats.admit(one)] == records


def test_a_burst_is_counted_with_the_next_line_of_any_kind_after_its_second() -> None:
    clock = ManualClock()
    repeats = Repeats(clock)
    for i in range(5):
        repeats.admit(record(value=str(i)))
    clock.now_s += 1.5
    told = [one.getMessage() for one in repeats.admit(record("up %s", "now"))]
    assert told == ["backoff 4 (and 3 more like it)", "up now"]
    assert repeats.untold() == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=200))
def test_every_line_is_told_or_counted_and_never_two_of_a_kind_within_a_second(
    lines: list[tuple[str, float]],
) -> None:
    clock = ManualClock()
    repeats = Repeats(clock)
    told: list[tuple[float, str]] = []
    for kind, gap_s in lines:
        clock.now_s += gap_s
        told += [(clock.now_s, one.getMessage()) for one in repeats.admit(record("%s", kind))]
    for kind in "abc":
        times = [at for at, text in told if text.startswith(kind)]
        assert all(b - a >= 1 for a, b in pairwise(times))
    everything = [text for _, text in told] + [one.getMessage() for one in repeats.untold()]
    counted = sum(1 + int(text.split()[2]) if "more" in text else 1 for text in everything)
    assert counted == len(lines)


def test_memory_of_kinds_is_bounded_and_what_is_forgotten_is_told() -> None:
    repeats = Repeats(ManualClock())
    repeats.admit(record(value="1", stream="first"))
    repeats.admit(record(value="2", stream="first"))
    told = [one for i in range(5000) for one in repeats.admit(record(stream=str(i)))]
    assert len(told) == 5001
    assert len(repeats._kinds) <= 1000


def test_the_daemon_says_which_stream_each_line_is_of(tmp_path: Path) -> None:
    path = tmp_path / "streamcls.toml"
    path.write_text(
        '[[streams]]\nid = "gone"\nurl = "text.mp4"\n[log]\nformat = "json"\n'
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\nreplay_endpoint = "tcp://127.0.0.1:*"\n'
        "[http]\nenabled = false\n"
    )
    (tmp_path / "text.mp4").write_text("no video\n")
    result = subprocess.run(
        [sys.executable, "-m", "streamcls", "run", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    of_stream = [line["message"] for line in lines if line.get("stream") == "gone"]
    assert of_stream[0].startswith("stride 1 s becomes")
    assert of_stream[1].startswith("connecting")
    assert "failed" in of_stream[-1]
