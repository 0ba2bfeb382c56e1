"""ONNX Runtime sessions on the CPU, as the server and the export's check open them."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from photoreal.cores import available_cores


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a model on the CPU with one thread a core.

    Threads do not spin while idle: one process a model would otherwise keep every core busy
    waiting. Memory goes back to the system after a run instead of growing with the largest
    picture of each model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
