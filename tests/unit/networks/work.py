"""Counts work, which unlike time is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass
class Work:
    """`products` are multiply-adds of convolutions and matrix products, `allocated` bytes.

    `launches` are operations that a GPU would run a kernel for: views and empty buffers are not.
    `synchronizations` are those for whose result the host would wait.
    """

    convolutions: int = 0
    products: int = 0
    allocated: int = 0
    launches: int = 0
    synchronizations: int = 0


@contextmanager
def count_work() -> Iterator[Work]:
    """Count what PyTorch computes on real tensors for as long as the context lasts.

    A Winograd convolution counts the 64 products of each 6x6 tile, its transforms nothing.
    """
    work = Work()
    with _Reads(work), _Counter(work):
        yield work


_aten = torch.ops.aten
_WAITING = (_aten._local_scalar_dense, _aten.nonzero, _aten.equal)


class _Reads(TorchFunctionMode):
    """Counts copies to the host, which nothing else shows where the tensors are on a CPU."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._work.synchronizations += func in (Tensor.cpu, Tensor.tolist)
        return func(*args, **(kwargs or {}))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, work: Work) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._work = work

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        # PyTorch's own table of costs knows the one of these two alone.
        operation = {_aten.addmm_: _aten.addmm}.get(func.overloadpacket, func.overloadpacket)
        winograd = operation is _aten._nnpack_spatial_convolution
        if not winograd and operation not in flop_registry:
            with self:  # in inference mode composite operations arrive whole
                result = func.decompose(*args, **named)
            if result is not NotImplemented:
                return result
        result = func(*args, **named)
        given = {x.untyped_storage().data_ptr() for x in _tensors((args, named))}
        self._work.allocated += sum(
            x.nbytes for x in _tensors(result) if x.untyped_storage().data_ptr() not in given
        )
        if winograd:
            n, outputs, height, width = result.shape
            tiles = n * -(-height // 6) * -(-width // 6)
            self._work.products += 64 * tiles * outputs * args[1].shape[1]
        elif operation in flop_registry:
            self._work.products += flop_registry[operation](*args, **named, out_val=result) // 2
        self._work.launches += not _is_free(func)
        self._work.synchronizations += _waits(func, args)
        self._work.convolutions += winograd or "convolution" in str(operation)
        return result


def _waits(func: Any, args: Any) -> bool:
    """Whether the host needs a result, or the size of one as with a mask for an index."""
    masked = func.overloadpacket is _aten.index and any(
        index is not None and index.dtype == torch.bool for index in args[1]
    )
    return masked or func.overloadpacket in _WAITING


def _is_free(func: Any) -> bool:
    """Whether an operation only describes memory in another way, or reserves some."""
    results = (result.alias_info for result in func._schema.returns)
    is_view = any(alias is not None and not alias.is_write for alias in results)
    return is_view or "empty" in func.name() or func.overloadpacket is _aten._unsafe_view


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
