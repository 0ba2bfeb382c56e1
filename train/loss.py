"""Segmentation loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.train.sources import IGNORE, NOT


def segmentation_loss(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean loss of the labeled pixels.

    `scores` (N, classes, H, W) before the softmax, `targets` (N, H, W) with a class c, NOT + c or
    IGNORE. A class costs its cross entropy with label smoothing; NOT + c costs -log(1 - p(c)).
    """
    logs = F.log_softmax(scores, dim=1)
    classes = torch.where(targets == IGNORE, 0, targets % NOT).unsqueeze(1)
    chosen = logs.gather(1, classes).squeeze(1)
    cost = -(1.0 - smoothing) * chosen - smoothing * logs.mean(dim=1)
    others = logs.scatter(1, classes, -torch.inf)
    cost = torch.where(targets >= NOT, -torch.logsumexp(others, dim=1), cost)
    known = (targets != IGNORE).to(cost.dtype)
    return (cost * known).sum() / known.sum().clamp(min=1.0)
