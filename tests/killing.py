"""A process that is killed while it works, as a machine that is switched off would do it."""

import subprocess


def kill_at(words, command):
    """Runs a command until a line that it prints has the words in it, then kills it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if words in line:
            process.kill()
            break
    process.wait()
