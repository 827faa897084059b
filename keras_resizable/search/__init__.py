"""Resizable-NAS: a table of all sub-networks, and queries on it.

It needs the extra `search`; an `ImportError` names it if it is not installed.
"""

from keras_resizable.search.exhaustive import build_table
from keras_resizable.search.exploring import explore
from keras_resizable.search.significance import PairedTest
from keras_resizable.search.table import Table

__all__ = ["PairedTest", "Table", "build_table", "explore"]
