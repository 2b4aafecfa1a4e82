"""One thread for each test process: two processes share the cores, and results stay the same."""

import torch

torch.set_num_threads(1)
