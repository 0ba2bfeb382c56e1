"""ONNX Runtime sessions on the CPU, for the server and for the check after an export."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from photoreal.cores import available_cores


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a model on the CPU with one thread per core.

    Idle threads do not spin: with one process per model, they would keep every core busy. Memory
    returns to the system after a run instead of growing with each model's largest image.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
