"""Resizable-NAS: a table of all sub-networks, and queries on it.

It needs the extra `search`; an `ImportError` names it if it is not installed.
"""

from keras_resizable.search.exploring import explore
from keras_resizable.search.image_results import (
    PairedTest,
    SampleResults,
    confidence_interval,
    load_samples,
    paired_test,
)
from keras_resizable.search.latency import latency_table
from keras_resizable.search.query import best, main_effects, pareto_front
from keras_resizable.search.report import write_report
from keras_resizable.search.table import build_table, merge_tables, read_table

__all__ = [
    "PairedTest",
    "SampleResults",
    "best",
    "build_table",
    "confidence_interval",
    "explore",
    "latency_table",
    "load_samples",
    "main_effects",
    "merge_tables",
    "paired_test",
    "pareto_front",
    "read_table",
    "write_report",
]
