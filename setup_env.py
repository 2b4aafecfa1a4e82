"""Create or refresh one of the project's environments: ``python setup_env.py .venv``.

``.venv`` holds the newest releases and this checkout; where ``L2G_LOCKED`` is set, the releases
that ``make lock`` wrote down, as in CI. ``.venv-colab`` imitates Google Colab:
its pinned releases, and the package installed the way a learner's notebook installs it.
An environment is finished once its file ``.complete`` exists, which is written last; without
that file it is made again, so an interrupted run leaves nothing to repair.

Standard library only, and no syntax newer than Python 3.6: a Python that is too old has to
read this file in order to say so.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST, NEWEST_COLAB = (3, 11), (3, 13)  # Colab's pinned releases have no wheels beyond 3.13
LOCK = "tests/ci-constraints.txt"
REQUIREMENTS = {
    ".venv": ["-e", ".[book,labs,transfer,test,dev]"],
    ".venv-colab": ["-c", "tests/colab-constraints.txt", ".[labs]", "ipykernel", "ipython"],
}


def require(condition: bool, sentence: str) -> None:
    if not condition:
        sys.exit("setup: " + sentence)


def version(numbers: tuple) -> str:
    return ".".join(map(str, numbers[:2]))


def check_version(newest: tuple = (4, 0)) -> None:
    """Exit with one sentence unless this Python is neither too old nor too new."""
    found = tuple(sys.version_info[:2])
    upper = "or newer" if newest > NEWEST_COLAB else "to " + version(newest)
    require(
        OLDEST <= found <= newest,
        f"Python {version(OLDEST)} {upper} is needed, but {sys.executable} is "
        f"Python {version(found)}. Choose another one with PYTHON=/path/to/python3.",
    )


def check_ensurepip() -> None:
    """Exit with one sentence if this Python came without the module that venv needs."""
    require(
        importlib.util.find_spec("ensurepip") is not None,
        f"{sys.executable} cannot create environments because its module ensurepip is missing. "
        "Debian and Ubuntu keep it in a package of its own: "
        f"apt install python{version(sys.version_info)}-venv.",
    )


def check_disk(folder: Path) -> None:
    """Exit with one sentence unless the disk has room for an environment and pip's cache."""
    needed = float(os.environ.get("L2G_DISK_GB", "9"))
    free = shutil.disk_usage(folder).free / 1e9
    require(
        free >= needed,
        f"a new environment needs {needed:g} GB of disk, but {folder} has {free:.1f} GB free. "
        "Free some, or set L2G_DISK_GB=3 if your pip installs PyTorch without CUDA.",
    )


@contextlib.contextmanager
def alone() -> typing.Iterator[None]:
    """Wait for other runs of this script, and for the processes that killed ones left behind."""
    with open(ROOT / "pyproject.toml", "r+") as file:
        os.set_inheritable(file.fileno(), True)  # pip holds the lock as long as it writes
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run that is preparing an environment", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(env: Path, *command: str) -> None:
    # pip unpacks gigabytes: inside the environment they share its disk and its fate.
    temporary = env / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    environ = dict(os.environ, TMPDIR=str(temporary))
    subprocess.run(command, cwd=ROOT, env=environ, check=True, close_fds=False)
    shutil.rmtree(temporary)


def wanted(name: str) -> list:
    """What pip is asked to install."""
    locked = name == ".venv" and os.environ.get("L2G_LOCKED")
    return (["-c", LOCK] if locked else []) + REQUIREMENTS[name]


def fingerprint(name: str, files: list) -> str:
    digest = hashlib.sha256(repr(wanted(name)).encode())
    for file in sorted(files):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def wanted_stamp(name: str, env: Path) -> list:
    """What a finished environment records: its place, its settings, the source it installed."""
    settings, source = [ROOT / "pyproject.toml"], []
    settings += [ROOT / word for word in wanted(name) if word.endswith(".txt")]
    if name == ".venv-colab":
        files = [*(ROOT / "src").rglob("*"), *(ROOT / "results").rglob("*")]
        source = [p for p in files if p.is_file() and "__pycache__" not in p.parts]
    return [str(env), fingerprint(name, settings), fingerprint(name, source)]


def read_stamp(env: Path) -> list:
    """The stamp of a finished environment whose Python still runs and finds its packages."""
    try:
        stamp = (env / ".complete").read_text().splitlines()
        subprocess.run(
            [env / "bin" / "python", "-c", "import pip"], check=True, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return stamp


def write_stamp(env: Path, stamp: list) -> None:
    unfinished = env / ".complete.part"
    unfinished.write_text("\n".join(stamp) + "\n")
    os.replace(unfinished, env / ".complete")


def create(name: str, env: Path) -> None:
    """Make an empty environment in place of whatever is there."""
    if name == ".venv-colab":
        check_version(NEWEST_COLAB)
    check_ensurepip()
    if env.exists():
        print(f"removing {name}, which is unfinished or was moved", flush=True)
        shutil.rmtree(env)
    check_disk(env.parent)
    print(f"creating {name}: a few minutes and a download, 6.5 GB on disk", flush=True)
    # The base interpreter, because this one may live in the environment just removed.
    run(env, sys._base_executable, "-m", "venv", str(env))


def prepare(name: str, env: Path) -> None:
    """Bring the environment to its wanted state; the stamp is gone until it is there."""
    stamp, goal = read_stamp(env), wanted_stamp(name, env)
    if stamp == goal:
        return
    (env / ".complete").unlink(missing_ok=True)
    requirements = wanted(name)
    if stamp[:1] != goal[:1]:
        create(name, env)
    elif stamp[:2] != goal[:2]:
        print(f"updating {name}: its requirements changed", flush=True)
    else:
        print(f"updating {name}: l2g itself changed", flush=True)
        requirements = ["--no-deps", "--force-reinstall", "."]
    python = str(env / "bin" / "python")
    run(env, python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements)
    run(env, python, "-c", "import torch, torchvision, l2g")
    write_stamp(env, goal)


def main() -> None:
    parser = argparse.ArgumentParser(description="Create or refresh an environment.")
    parser.add_argument("name", nargs="?", default=".venv", choices=sorted(REQUIREMENTS))
    name = parser.parse_args().name
    check_version()
    env = (ROOT / name).resolve()  # .venv may be a link to a larger disk
    again = f"Run the same command again: an unfinished {name} is made afresh."
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that pip ends, too
    try:
        if read_stamp(env) != wanted_stamp(name, env):
            with alone():
                prepare(name, env)
    except KeyboardInterrupt:
        sys.exit(f"setup: interrupted. {again}")
    except subprocess.CalledProcessError:
        sys.exit(f"setup: that step failed (no network? disk full?). {again}")
    except OSError as error:
        sys.exit(f"setup: {error}. {again}")


if __name__ == "__main__":
    main()
