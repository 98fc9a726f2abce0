"""From a network and prepared images to logits."""

import numpy as np
import torch
from torch import nn

from consort.data.batches import prediction_batches
from consort.data.prepared import Prepared
from consort.data.preprocessing import Preprocessing
from consort.data.published_batches import published_batches
from consort.models.compute import Compute
from consort.models.head import head_in_float32


def predict_logits(network: nn.Module, data: Prepared, split: str, input_size: int | None, compute: Compute,
                   workers: int = 0, own: Preprocessing | None = None) -> np.ndarray:
    """float32 [N, classes] for a split, in the data's fixed order. The network is left in evaluation mode.

    own: how the weights want images, where they come with it.
    The last layer runs in float32 also where the rest is bfloat16: with 8 bits of mantissa, two classes often tie.
    """
    head_in_float32(network.eval())
    parts = []
    with torch.inference_mode(), compute.autocast():
        for x in (prediction_batches(data, split, input_size, compute.device, workers=workers) if own is None
                  else published_batches(data, split, own, compute.device, workers)):
            parts.append(network(x).float().cpu().numpy())
    return np.concatenate(parts)
