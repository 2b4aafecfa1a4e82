"""One thread for each test process: two processes share the cores, and results stay the same.

Nothing that is tried here counts as the progress of whoever runs the tests.
"""

import os

import torch

torch.set_num_threads(1)
os.environ["L2G_HOME"] = ""


def pytest_collection_modifyitems(items):
    """The file that takes longest comes first: else one worker is still at it when all is done."""
    items.sort(key=lambda item: item.path.name != "test_book.py")
