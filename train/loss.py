"""Segmentation loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.devices import send
from photoreal.train.sources import ALLOWED, ANY, IGNORE

_ALLOWED = torch.from_numpy(ALLOWED)


def segmentation_loss(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean loss of the labeled pixels.

    `scores` (N, classes, H, W) before the softmax, `targets` (N, H, W) with a class, NOT + class,
    a code of `PARTIAL`, or IGNORE. A pixel costs -log of the probability of the classes that it may
    have (Jin and Ghahramani, "Learning with Multiple Labels", NIPS 2002, equation 3): for a class
    the cross entropy, here with label smoothing, for NOT + c -log(1 - p(c)).
    """
    targets = targets.long()
    logs = F.log_softmax(scores, dim=1)
    allowed = send(_ALLOWED, scores.device)[targets].movedim(-1, 1)
    cost = -logs.masked_fill(~allowed, -torch.inf).logsumexp(dim=1)
    smooth = (1.0 - smoothing) * cost - smoothing * logs.mean(dim=1)
    cost = torch.where(targets < ANY, smooth, cost)
    known = (targets != IGNORE).to(cost.dtype)
    return (cost * known).sum() / known.sum().clamp(min=1.0)
