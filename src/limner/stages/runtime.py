"""Opening an ONNX network on the CPU, the same way everywhere.

Knows onnxruntime; knows no network.
"""

# onnxruntime's own annotations are partial.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import onnxruntime


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session of which one call uses at most ``threads`` threads; safe to call from several.

    Sequential and without spinning: the same input gives the same bytes, and waiting threads
    leave the cores to other work. Without an arena: it would keep the largest run's memory for
    ever, twice over when two run at once (300 MB here), and saves no time that can be measured.
    """
    options = cast("Any", onnxruntime.SessionOptions())
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        path.as_posix(), options, providers=["CPUExecutionProvider"]
    )
