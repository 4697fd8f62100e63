"""What Prometheus can ask of the ingress. Labels are bounded: route templates, never paths or task names."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
"""Everything else counts as OTHER: a client may send any word as a method."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds: from reading a task to a synchronous request at its time-out."""


class Metrics:
    """Counters of one app, in a registry of their own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "velum_http_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "velum_http_request_seconds",
            "Time from a request's first byte to its answer's last.",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._bytes = Counter("velum_http_received_bytes", "Bytes of request bodies.", registry=self.registry)
        self._sent = Counter("velum_http_sent_bytes", "Bytes of answers' bodies.", registry=self.registry)
        self.uploads = Counter("velum_uploads", "Uploads by how they ended.", ("outcome",), registry=self.registry)
        self.waiting = Gauge("velum_sync_requests_waiting", "Requests that wait for a task.", registry=self.registry)

    def answered(self, route: str, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count one request. `route` is the template it matched."""
        method = method if method in METHODS else "OTHER"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)
        self._bytes.inc(received)
        self._sent.inc(sent)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
