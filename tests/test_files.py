"""Files are whole or not there, whatever interrupts the writer."""

import os
import signal
import subprocess
import sys
import time

import pytest

from l2g.files import replacing, write_atomically


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, stage):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(f"os.{stage}", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def interrupted():
        with replacing(path) as file:
            file.write(b"half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_processes_that_write_the_same_file_one_wins_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with replacing(path) as slow:
        slow.write(b"slow, ")
        with monkeypatch.context() as other_process:
            other_process.setattr("os.getpid", lambda: 0)
            write_atomically(path, b"fast")
        assert path.read_bytes() == b"fast"
        slow.write(b"and whole")
    assert path.read_bytes() == b"slow, and whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_while_writing_never_leaves_half_a_file(tmp_path):
    """Kill a writer again and again: what stands under the final name is whole or absent."""
    path, size = tmp_path / "file", 5_000_000
    code = (
        "from pathlib import Path; from l2g.files import write_atomically\n"
        "print('ready', flush=True)\n"
        f"while True: write_atomically(Path({str(path)!r}), bytes({size}))\n"
    )
    for wait in (0.001, 0.01, 0.03):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        time.sleep(wait)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not path.exists() or path.stat().st_size == size
