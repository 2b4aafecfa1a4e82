"""What happens to a training batch, for ``fit(transform=...)``: augmentation and mixtures.

All of it works on a batch at once, on the device that holds it, and draws from the global
generators, which ``fit`` seeds. On an accelerator the values of class indices are not looked at:
that would stall it.
"""

from l2g.transforms.augment import crop_and_flip
from l2g.transforms.mixing import CutMix, Mixup, SmoothLabels

__all__ = ["CutMix", "Mixup", "SmoothLabels", "crop_and_flip"]
