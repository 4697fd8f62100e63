"""What Prometheus sees of the controller. No label holds a name: the number of series does not grow with tasks.

Every process passes its own registry in, so that tests and `velum up` (which has more than one room in a process)
count apart.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CONDITIONS = ("pending", "running", "suspended", "complete", "failed", "deleted")

FAILED = "failed"
"""Reason of stores that are not swept because sweeping them failed; the others are `ownership.Standing`s."""

QUEUE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
"""Seconds. The fine end is the goal of 50 ms overhead, the coarse one a night's batch."""

RUN_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

RECONCILE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Seconds. A pass is one status write: a few milliseconds on a healthy API server."""


class ControllerMetrics:
    """Counters, gauges and histograms of one controller."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tasks = Gauge("velum_tasks", "Tasks by condition.", ["condition"], registry=registry)
        self.queue_seconds = Histogram(
            "velum_task_queue_seconds",
            "From creation to the start of the first attempt.",
            buckets=QUEUE_BUCKETS,
            registry=registry,
        )
        self.run_seconds = Histogram(
            "velum_task_run_seconds",
            "From the start of the first attempt to the end of the task.",
            buckets=RUN_BUCKETS,
            registry=registry,
        )
        self.reconciles = Counter(
            "velum_reconcile", "Passes over tasks by result: ok, conflict, gone, unavailable, error.", ["result"],
            registry=registry,
        )  # fmt: skip
        self.reconcile_seconds = Histogram(
            "velum_reconcile_seconds", "Duration of a pass.", buckets=RECONCILE_BUCKETS, registry=registry
        )
        self.attempts = Counter(
            "velum_attempts", "Attempts by result: succeeded, failed, not_started, cancelled.", ["result"],
            registry=registry,
        )  # fmt: skip
        self.webhooks = Counter(
            "velum_webhook_deliveries", "Calls of webhooks by result: sent, failed.", ["result"], registry=registry
        )
        self.applies = Counter(
            "velum_serving_applies", "Serving configs put to Ray by result: ok, failed.", ["result"], registry=registry
        )
        self.orphans = Counter("velum_orphans_removed", "Folders without a task that were removed.", registry=registry)
        self.unswept = Gauge(
            "velum_unswept_stores",
            "Stores from which folders without a task are not removed, by reason: shared (the mark names other "
            "installations), unmarked (no mark, and files that no task knows), failed (the last sweep did).",
            ["reason"],
            registry=registry,
        )
