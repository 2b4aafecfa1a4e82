"""Augmentation of a whole batch at once, in tensors, on the device that holds it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from l2g.numbers import whole_number
from l2g.transforms.inputs import check_images


def crop_and_flip(x: Tensor, *, padding: int = 4, flip: bool = True) -> Tensor:
    """Shift every image by up to ``padding`` pixels in each direction and mirror one in two.

    The usual augmentation of CIFAR: pad with zeros, crop at random, flip left to right. All images
    of the batch are gathered at once, which costs a fraction of a transform per image.

    Args:
        x: images (N, C, H, W) of any dtype, which stays.
        padding: the largest shift in pixels; 0 leaves images where they are.
        flip: whether to mirror half of them.

    Raises:
        TypeError: x is no tensor, or ``padding`` no integer.
        ValueError: x is no batch of images, or ``padding`` is negative.

    Source: Krizhevsky, Sutskever and Hinton (2012), section 4.1; He et al. (2016), section 4.2.
    """
    check_images(x)
    padding = whole_number("padding", padding, 0)
    n, channels, height, width = x.shape
    top, left = torch.randint(2 * padding + 1, (2, n, 1), device=x.device)
    rows = top + torch.arange(height, device=x.device)  # (N, H): the row each pixel is taken from
    columns = left + torch.arange(width, device=x.device)
    if flip:
        mirrored = torch.rand(n, 1, device=x.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    pixels = rows[:, :, None] * (width + 2 * padding) + columns[:, None]  # (N, H, W)
    pixels = pixels.view(n, 1, -1).expand(-1, channels, -1)
    return F.pad(x, [padding] * 4).flatten(2).gather(2, pixels).view_as(x)
