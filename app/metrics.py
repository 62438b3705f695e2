"""Connectors' metrics in Prometheus' text format, under Feldera's names."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_LABELS = ("pipeline", "endpoint")
_COUNTERS = {
    "input_connector_records": ("total_records", "Records received."),
    "input_connector_bytes": ("total_bytes", "Bytes received."),
    "input_connector_errors_parse": ("num_parse_errors", "Records that could not be parsed."),
    "input_connector_errors_transport": ("num_transport_errors", "Errors of the transport."),
}
_GAUGES = {
    "input_connector_buffered_records": ("buffered_records", "Records received and not yet processed."),
    "input_connector_buffered_records_bytes": ("buffered_bytes", "Bytes received and not yet processed."),
    "input_connector_end_of_input": ("end_of_input", "Whether the input has ended."),
}


def exposition(connectors: Iterable[tuple[str, Any]]) -> bytes:
    """The metrics of the connectors: pairs of a pipeline's name and a row with the connector's counters."""
    registry = CollectorRegistry()
    registry.register(_Rows(list(connectors)))
    return generate_latest(registry)


class _Rows(Collector):
    def __init__(self, rows: list[tuple[str, Any]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for family, metrics in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
            for name, (column, documentation) in metrics.items():
                metric = family(name, documentation, labels=_LABELS)
                for pipeline, row in self._rows:
                    metric.add_metric((pipeline, f"{row.table_name}.{row.connector_name}"), getattr(row, column))
                yield metric
