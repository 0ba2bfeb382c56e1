"""Out-of-memory handling on a GPU: the request is rejected with a size that may fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

from photoreal.errors import InvalidOption, ModelFailed
from photoreal.pipeline.tensors import Array
from photoreal.transfer.soft_transfer import SoftImage
from photoreal.triton_messages import Condition, reports

_Content = TypeVar("_Content", dict[str, Array], SoftImage)
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def within_gpu_memory(
    serve: Callable[Concatenate[_Content, _Given], _Result],
) -> Callable[Concatenate[_Content, _Given], _Result]:
    """Wrap a transfer so that GPU out-of-memory is InvalidOption.

    Its first argument is the inputs of `wct2` or the content. The memory that the failed request
    had allocated is released for the next one.
    """

    @wraps(serve)
    def run(content: _Content, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return serve(content, *args, **kwargs)
        except torch.OutOfMemoryError:
            pass
        except ModelFailed as error:
            if not reports(str(error), Condition.OUT_OF_MEMORY):
                raise
        # Outside the handler: the traceback keeps the tensors alive until the handler ends.
        torch.cuda.empty_cache()
        picture = content.image if isinstance(content, SoftImage) else content["CONTENT"]
        height, width = picture.shape[-2:]
        smaller = math.floor(min(height, width) * math.sqrt(0.5))
        raise InvalidOption(
            f"The GPU has too little memory for a content of {width}x{height} pixels; a size of"
            f" {smaller} needs about half as much."
        )

    return run
