from keras_resizable.search.flops import count_flops, count_flops_of_configs
from keras_resizable.search.latency import measure_latency
from keras_resizable.search.table import best, build_table

__all__ = [
    "best",
    "build_table",
    "count_flops",
    "count_flops_of_configs",
    "measure_latency",
]
