"""Operations that models of pictures need, against PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from zoo.formats.coreml.execute.kernels import shape


def test_gather_nd_takes_what_the_last_axis_names():
    x = torch.randn(3, 4, 5)
    rows, columns = torch.tensor([0, 2, -1]), torch.tensor([3, -2, 0])
    found = shape.gather_nd(x, torch.stack([rows, columns], -1))
    np.testing.assert_array_equal(found, x[rows, columns])
