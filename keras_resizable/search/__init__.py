"""Resizable-NAS: a table of all sub-networks, and queries on it."""

from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.search.exploring import explore
from keras_resizable.search.latency import latency_table
from keras_resizable.search.measurements import (
    metadata_of,
    result_name,
    write_measurements,
)
from keras_resizable.search.query import (
    best,
    check_limits,
    devices_of,
    main_effects,
    pareto_front,
)
from keras_resizable.search.report import write_report
from keras_resizable.search.samples import (
    SAMPLES,
    PairedTest,
    SampleResults,
    confidence_interval,
    join_samples,
    load_samples,
    paired_test,
    require_results_of,
    require_same_images,
    save_samples,
)
from keras_resizable.search.table import (
    TABLE,
    build_table,
    merge_tables,
    read_table,
    without_measured,
    write_table,
)

__all__ = [
    "SAMPLES",
    "TABLE",
    "PairedTest",
    "SampleResults",
    "best",
    "build_table",
    "check_limits",
    "confidence_interval",
    "devices_of",
    "evaluate_model",
    "explore",
    "join_samples",
    "latency_table",
    "load_samples",
    "main_effects",
    "merge_tables",
    "metadata_of",
    "paired_test",
    "pareto_front",
    "read_table",
    "require_results_of",
    "require_same_images",
    "result_name",
    "save_samples",
    "without_measured",
    "write_measurements",
    "write_report",
    "write_table",
]
