"""Twelve streams that fail in every way, for as long as you like: `make soak MINUTES=60`.

A real daemon serves cameras that are well, flap, stall, lie and refuse, while subscribers come and
go and its configuration is changed and broken. Ends with exit code 1 if anything leaked, drifted,
or was lost to another's fault.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from streamcls.client import Subscriber
from streamcls.observe.samples import scrape
from tests.faults.camera import serve
from tests.models.small import SPEC, write_small
from tests.serving import free_port
from tests.soak import streams
from tests.soak.plot import draw
from tests.soak.verdicts import Verdict, flat, lossless, no_drift, no_leak
from tests.soak.watching import Listener, Sample, sample

_SAMPLE_S = 5.0
_RELOAD_S = 30.0
# A whole number of grid steps; fine, so that the memory for replay is full within a few minutes.
_STRIDE_S = round(3 * float(SPEC.frame_interval_s), 6)
_LEAK_MIB_H = 2.0
_STOP_S = 12.0


class Soak:
    """One daemon's long day."""

    def __init__(self, folder: Path, tables: dict[str, str]) -> None:
        self.folder = folder
        self.config = folder / "streamcls.toml"
        self.log = folder / "daemon.log"
        self.events, self.replay = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        self.http_port = free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.samples: list[Sample] = []
        self.reloads_s: list[float] = []
        self.over = threading.Event()
        self._tables = tables
        self._chance = random.Random(5)

    def write(self, *, visitor: bool, more: str = "") -> None:
        """The configuration, with or without the stream that comes and goes."""
        tables = [text for name, text in self._tables.items() if visitor or name != streams.VISITOR]
        self.config.write_text(
            "\n".join(tables) + f"\n[model]\npath = './small.safetensors'\nthreads = 1\n"
            f"[windows]\nstride_s = {_STRIDE_S}\n"
            "[decisions]\nsmoothing_s = 0.5\non_threshold = 0.4\noff_threshold = 0.3\n"
            "update_s = 0\n"  # every window is an event too: what is kept of them is soon full
            "[capture]\nrefused_retry_s = 5\nbackoff_max_s = 5\n"
            f"[publish]\nendpoint = '{self.events}'\nreplay_endpoint = '{self.replay}'\n"
            f"[journal]\npath = '{self.folder}/events.sqlite'\nmax_size_mb = 5\n"
            f"[http]\nport = {self.http_port}\n[log]\nformat = 'json'\n{more}"
        )

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, up and answering."""
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "streamcls", "run", str(self.config)]
            process = subprocess.Popen(command, stderr=log)
            try:
                while True:
                    try:
                        scrape(self.url)
                        break
                    except OSError:
                        assert process.poll() is None, self.log.read_text()
                        time.sleep(0.2)
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def reload(self, process: subprocess.Popen[bytes], began_s: float) -> None:
        """Change the configuration again and again; every fifth time it is broken."""
        number = 0
        while not self.over.wait(_RELOAD_S):
            number += 1
            if number % 5 == 0:
                self.write(visitor=True, more="nonsense = 1\n")
            else:
                self.write(visitor=number % 2 == 1)
            for _ in range(self._chance.choice([1, 1, 20])):
                process.send_signal(signal.SIGHUP)
            self.reloads_s.append(time.monotonic() - began_s)

    def visit(self) -> None:
        """Subscribers that come, listen for a while and go."""
        while not self.over.wait(self._chance.uniform(1, 5)):
            with Subscriber(self.events, replay_endpoint=self.replay) as subscriber:
                for _ in range(self._chance.randrange(40)):
                    subscriber.receive(0.2)

    def watch(self, process: subprocess.Popen[bytes], minutes: float) -> Listener:
        """Sample for so long while everybody does his worst."""
        began_s = time.monotonic()
        listener = Listener(self.events, self.replay, began_s)
        others = [
            threading.Thread(target=self.reload, args=(process, began_s)),
            threading.Thread(target=self.visit),
            threading.Thread(target=self.visit),
        ]
        for thread in others:
            thread.start()
        try:
            while time.monotonic() - began_s < 60 * minutes:
                assert process.poll() is None, self.log.read_text()[-3000:]
                self.samples.append(sample(process.pid, began_s))
                time.sleep(_SAMPLE_S)
        finally:
            self.over.set()
            for thread in others:
                thread.join()
        return listener

    def verdicts(self, listener: Listener, found: dict[tuple[str, ...], float]) -> list[Verdict]:
        """All that must hold, but for the daemon's end."""
        times = [one.at_s for one in self.samples]
        log = self.log.read_text()
        result = [
            no_leak(times, [one.rss_mib for one in self.samples], _LEAK_MIB_H),
            no_leak(times, [one.children_mib for one in self.samples], _LEAK_MIB_H, "its child's"),
            flat("threads", times, [one.threads for one in self.samples]),
            flat("descriptors", times, [one.descriptors for one in self.samples]),
        ]
        passes = 2 + int(times[-1] / 60)  # of the recording, a minute long
        for name in streams.HEALTHY:
            epochs = passes if name == "recording" else 1
            result.append(lossless(name, listener.seen[name], _STRIDE_S, epochs))
            late = found.get(("streamcls_windows_dropped_total", name, "superseded"), 0)
            result.append(Verdict(f"{name} is classified in time", f"{late:g} late", late == 0))
        result += [
            no_drift([one for name in streams.HEALTHY[:1] for one in listener.seen[name]]),
            Verdict("nothing is missed", f"{len(listener.gaps)} gaps", not listener.gaps),
            Verdict(
                "silence is never long", f"{listener.silences} silences", not listener.silences
            ),
            self._reloaded(found),
            Verdict("nothing is a bug", f"{log.count('Traceback')} traces", "Traceback" not in log),
            Verdict("no password is told", "none in the log", "hunter2" not in log),
        ]
        return result

    def _reloaded(self, found: dict[tuple[str, ...], float]) -> Verdict:
        """Whether good files were taken and, had there been time for one, a wrong one refused."""
        counts = {
            result: found.get(("streamcls_config_reloads_total", result), 0)
            for result in ("applied", "rejected")
        }
        wanted = min(len(self.reloads_s), 1), len(self.reloads_s) // 5
        holds = counts["applied"] >= wanted[0] and counts["rejected"] >= min(wanted[1], 1)
        return Verdict("reloads are taken or refused", f"{counts}", holds)


def main() -> int:
    """Run, judge, write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, serve(streams.cameras()) as server:
        folder = Path(name)
        write_small(folder / "small.safetensors")
        urls = {path: server.url(path) for path in streams.cameras()}
        soak = Soak(folder, streams.tables(folder, urls))
        soak.write(visitor=False)
        with soak.daemon() as process:
            listener = soak.watch(process, options.minutes)
            found = scrape(soak.url)
            verdicts = soak.verdicts(listener, found)
            verdicts.append(_ended(process))
        time.sleep(1)
        listener.over.set()
        listener.thread.join()
        left = len(listener.open_events)
        verdicts.append(
            Verdict(
                "every event ends",
                f"{listener.events} messages, {left} left open",
                not left,
            )
        )
        (options.out / "daemon.log").write_bytes(soak.log.read_bytes())
    _report(options.out, soak, listener, found, verdicts)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _ended(process: subprocess.Popen[bytes]) -> Verdict:
    asked_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        return Verdict("it ends when asked", f"not within {_STOP_S:g} s", holds=False)
    took_s = time.monotonic() - asked_s
    return Verdict("it ends when asked", f"exit {code} after {took_s:.1f} s", code == 0)


def _report(
    out: Path,
    soak: Soak,
    listener: Listener,
    found: dict[tuple[str, ...], float],
    verdicts: list[Verdict],
) -> None:
    last, first = soak.samples[-1], soak.samples[0]
    cores = (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)
    figures = {
        "minutes": round(last.at_s / 60, 1),
        "cpu_cores": round(cores, 3),
        "rss_mib": [round(one.rss_mib, 1) for one in soak.samples],
        "threads": [one.threads for one in soak.samples],
        "descriptors": [one.descriptors for one in soak.samples],
        "reconnects": {
            f"{key[1]}: {key[2]}": value
            for key, value in found.items()
            if key[0] == "streamcls_source_reconnects_total"
        },
        "reloads": {
            key[1]: value
            for key, value in found.items()
            if key[0] == "streamcls_config_reloads_total"
        },
        "windows": {
            key[1]: value for key, value in found.items() if key[0] == "streamcls_windows_total"
        },
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }
    (out / "soak.json").write_text(json.dumps(figures, indent=1))
    for ending in ("svg", "png"):
        draw(out / f"soak.{ending}", soak.samples, listener.seen["healthy"], soak.reloads_s)
    print(f"{figures['minutes']} minutes, {cores:.2f} of a core, reloads {figures['reloads']}")
    for verdict in verdicts:
        print(f"{'ok  ' if verdict.holds else 'FAIL'} {verdict.name}: {verdict.found}")


if __name__ == "__main__":
    sys.exit(main())
