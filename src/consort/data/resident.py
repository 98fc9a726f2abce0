"""Training images that lie on the device as they were prepared, once for all members that train on them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consort.data.prepared import Prepared

SHARE = 0.5
"""Of the device's free memory: images that need more are brought batch by batch."""


@dataclass(frozen=True)
class Resident:
    """All training images of one data set."""

    images: Tensor
    """uint8 [N, H, W, 3]."""
    labels: Tensor
    """int64 [N]."""


def fits(data: Prepared, device: torch.device) -> bool:
    """Whether the training images can lie on the device. Streamed images never do: they are not decoded."""
    if data.manifest.layout != "arrays":
        return False
    if device.type == "cpu":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return data.images("train").nbytes <= SHARE * free


def bring(data: Prepared, device: torch.device) -> Resident:
    """Copy the training images to the device; on a CPU they stay where they are mapped."""
    return Resident(torch.from_numpy(np.asarray(data.images("train"))).to(device),
                    torch.from_numpy(data.labels("train")).to(device))
