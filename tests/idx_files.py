"""Writing the IDX files that tests read."""

import gzip
import struct


def write_idx(folder, name, values, compress=False):
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(
        f">{values.ndim}I", *values.shape
    )
    content = header + values.tobytes()
    if compress:
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        (folder / name).write_bytes(content)
