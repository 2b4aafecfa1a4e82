"""Executes the pages that the cache lacks, side by side, before Sphinx reads them one by one.

Sphinx then finds every result in the cache, as if an earlier build had left it there.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
from joblib import cpu_count  # type: ignore[import-untyped]
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from myst_nb.core.read import create_nb_reader
from myst_nb.sphinx_ import NbMetadataCollector
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError)
MEMORY = 1.5e9  # bytes for each kernel; the hungriest chapter takes 1.3e9
FROM_NOTHING = "from_nothing.json"  # in the cache: how long its first and only full build took


class Page(NamedTuple):
    """A page with code: its name, its source and, as soon as it is executed, its outputs."""

    name: str
    path: Path
    notebook: Any


class Loop(asyncio.SelectorEventLoop):
    """Leaves Ctrl-C to asyncio, which ends every kernel; nbclient would end only one of them."""

    def add_signal_handler(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError  # nbclient knows that from Windows


def execute_before_reading(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    """Executes what the cache lacks of the pages `names`, which Sphinx is about to read.

    Raises:
        ExtensionError: a cell failed. The results of all other pages are in the cache.
    """
    config = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    cache = get_cache(config.execution_cache_path)
    pages = list(pages_with_code(env, names))
    missing = [page for page in pages if not is_cached(cache, page)]
    if not missing:
        return
    waiting = sorted(missing, key=lambda page: seconds_last_time(env, page.name), reverse=True)
    count = min(kernel_count(), len(waiting))
    logger.info(f"executing {len(waiting)} pages, {count} at a time")
    start = time.perf_counter()
    with asyncio.Runner(loop_factory=Loop) as runner:
        outcomes = runner.run(execute_all(waiting, count, config.execution_timeout, cache))
    refuse_failures(waiting, outcomes)
    if len(waiting) == len(pages) and len(names) == len(env.found_docs):
        note = {"kernels": count, "seconds": time.perf_counter() - start}
        (Path(cache.path) / FROM_NOTHING).write_text(json.dumps(note))


def pages_with_code(env: BuildEnvironment, names: list[str]) -> Iterator[Page]:
    config = env.myst_config, env.mystnb_config  # type: ignore[attr-defined]
    for name in names:
        path = Path(env.doc2path(name))
        text = path.read_text(encoding="utf-8")
        if reader := create_nb_reader(str(path), *config, text):
            yield Page(name, path, reader.read(text))


def is_cached(cache: JupyterCacheAbstract, page: Page) -> bool:
    try:
        cache.merge_match_into_notebook(page.notebook)
    except KeyError:  # also where an interrupted build has left a record without its notebook
        return False
    return True


def seconds_last_time(env: BuildEnvironment, name: str) -> float:
    """A page that was never executed counts as the longest: who starts last keeps all waiting."""
    data = NbMetadataCollector.get_exec_data(env, name)
    return float(data["runtime"] or "inf") if data else float("inf")


def kernel_count() -> int:
    """Returns how many kernels the cores and the free memory of this machine can carry."""
    return max(1, min(cpu_count(), int(psutil.virtual_memory().available / MEMORY)))


async def execute_all(
    pages: list[Page], count: int, timeout: int, cache: JupyterCacheAbstract
) -> list[BaseException | None]:
    """Executes `count` pages at a time in the order given; returns each one's error, or None."""
    free = asyncio.Semaphore(count)
    done = 0

    async def execute(page: Page) -> None:
        nonlocal done
        async with free:
            logger.info(f"executing {page.name}")
            start = time.perf_counter()
            client = NotebookClient(
                page.notebook,
                timeout=timeout,
                record_timing=False,  # in the cells' metadata, which are part of the cache's key
                resources={"metadata": {"path": str(page.path.parent)}},
                extra_arguments=["--log-level=40"],  # errors; no word on unencrypted sockets
            )
            try:
                await client.async_execute()
            except (CellExecutionError, CellTimeoutError):
                logger.info(f"{page.name} failed; the other pages go on")
                raise
            seconds = time.perf_counter() - start
        result = CacheBundleIn(page.notebook, str(page.path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(result, check_validity=False, overwrite=True)
        done += 1
        logger.info(f"executed {page.name} in {seconds:.1f} s ({done} of {len(pages)})")

    return await asyncio.gather(*map(execute, pages), return_exceptions=True)


def refuse_failures(pages: list[Page], outcomes: list[BaseException | None]) -> None:
    failed = []
    for page, outcome in zip(pages, outcomes, strict=True):
        if isinstance(outcome, FAILURES):
            failed.append(f"{page.path}: {outcome}")
        elif outcome:
            raise outcome
    if failed:
        raise ExtensionError("\n".join(failed))


def setup(app: Sphinx) -> None:
    app.connect("env-before-read-docs", execute_before_reading)
