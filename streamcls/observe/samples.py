"""The metrics of a running daemon, read as whoever scrapes them reads them."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, ...], float]
"""By name and labels' values, the stream first: (name, stream, reason)."""


def scrape(url: str, patience_s: float = 30.0) -> Samples:
    """All samples of /metrics at a daemon's address."""
    # Whatever proxy there is for other hosts, this one is asked itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{url}/metrics", timeout=patience_s) as answer:
        return samples_in(answer.read().decode())


def samples_in(text: str) -> Samples:
    """Those in Prometheus's text format."""
    return {
        (one.name, *(text for _, text in sorted(one.labels.items(), key=_stream_first))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def _stream_first(label: tuple[str, str]) -> bool:
    return label[0] != "stream"
