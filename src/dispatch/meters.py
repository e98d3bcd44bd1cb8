"""What one process counts of itself, for Prometheus, told on an address of its own (``DISPATCH_METRICS_ADDRESS``).

Nothing here knows a tenant, an account or an order: labels are route templates, job names, states and kinds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})
"""Methods by their own name; a client may make up any other."""
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_SECONDS = (0.01, 0.05, 0.25, 1, 5, 30, 120)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each, which nobody asks for


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Meters:
    """The counters of a process; made once and handed to what counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._measured = _Measured()
        self.registry.register(self._measured)
        ProcessCollector(registry=self.registry)
        made: dict[str, Any] = {"registry": self.registry}
        self._answers = Counter(
            "dispatch_http_requests", "Answered requests.", ["method", "route", "status"], **made
        )
        self._seconds = Histogram(
            "dispatch_http_request_seconds",
            "Time from a request's first byte to its answer's last.",
            ["method", "route"],
            buckets=REQUEST_SECONDS,
            **made,
        )
        self._open = Gauge("dispatch_http_requests_in_progress", "Requests being answered.", **made)
        self._jobs = Histogram("dispatch_job_seconds", "Runs of a job.", ["job"], buckets=JOB_SECONDS, **made)
        self._failures = Counter("dispatch_job_failures", "Runs of a job that failed.", ["job"], **made)
        self._ended = Gauge(
            "dispatch_job_success_timestamp_seconds", "When a job last ended well.", ["job"], **made
        )
        self._pool = Gauge(
            "dispatch_database_connections", "Connections of the pool.", ["pool", "state"], **made
        )

    def asked(self) -> None:
        """A request came in."""
        self._open.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; ``route`` is the template."""
        method = method if method in METHODS else "other"
        self._open.dec()
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def ran(self, job: str, seconds: float, *, failed: bool) -> None:
        """A job's run came to its end."""
        self._jobs.labels(job).observe(seconds)
        if failed:
            self._failures.labels(job).inc()
        else:
            self._ended.labels(job).set_to_current_time()

    def watch_pool(self, pool: str, *, size: int, used: Callable[[], float]) -> None:
        """Ask a pool of connections, at every scrape, how many are in use."""
        self._pool.labels(pool, "in_use").set_function(used)
        self._pool.labels(pool, "most").set(size)

    def show(self, measured: Sequence[Sample]) -> None:
        """Tell these numbers of the whole service until others replace them; none: another process tells them."""
        self._measured.samples = measured

    @contextmanager
    def told_at(self, address: str) -> Iterator[None]:
        """Answer scrapes at ``host:port`` meanwhile, in a thread of its own.

        Raises:
            OSError: nobody can listen there.
        """
        host, _, port = address.rpartition(":")
        server, thread = start_http_server(int(port), host.strip("[]"), self.registry)
        log.info("metrics.listening", port=server.server_port)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Measured(Collector):
    """Numbers that were measured elsewhere."""

    samples: Sequence[Sample] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One family for each name."""
        families: dict[str, GaugeMetricFamily] = {}
        for sample in self.samples:
            family = families.setdefault(
                sample.name, GaugeMetricFamily(sample.name, sample.help, labels=list(sample.labels))
            )
            family.add_metric(list(sample.labels.values()), sample.value)
        return families.values()
