"""Executes the pages that the cache lacks, side by side, before Sphinx reads them one by one.

Sphinx then finds every result in the cache, as if an earlier build had left it there.
"""

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from joblib import cpu_count  # type: ignore[import-untyped]
from jupyter_cache.base import CacheBundleIn
from myst_nb.sphinx_ import NbMetadataCollector
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

from .caches import Caches, Page, is_cached, pages_with_code
from .execution import CACHES

logger = logging.getLogger(__name__)

FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError)
MEMORY = 1.5e9  # bytes for each kernel; the hungriest chapter takes 1.3e9
FROM_NOTHING = CACHES / "from_nothing.json"  # how long the last execution of every page took


class Loop(asyncio.SelectorEventLoop):
    """Leaves Ctrl-C to asyncio, which ends every kernel; nbclient would end only one of them."""

    def add_signal_handler(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError  # nbclient knows that from Windows


def execute_before_reading(
    caches: Caches, app: Sphinx, env: BuildEnvironment, names: list[str]
) -> None:
    """Executes what the caches lack of the pages `names`, which Sphinx is about to read.

    Raises:
        ExtensionError: a cell failed. The results of all other pages are in their caches.
    """
    config = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    pages = list(pages_with_code(env, names))
    missing = [page for page in pages if not is_cached(caches.open(page.name), page.notebook)]
    if not missing:
        return
    waiting = sorted(missing, key=lambda page: seconds_last_time(env, page.name), reverse=True)
    count = min(kernel_count(), len(waiting))
    logger.info(f"executing {len(waiting)} pages, {count} at a time")
    start = time.perf_counter()
    with asyncio.Runner(loop_factory=Loop) as runner:
        outcomes = runner.run(execute_all(waiting, count, config.execution_timeout, caches))
    refuse_failures(waiting, outcomes)
    if len(waiting) == len(pages) and len(names) == len(env.found_docs):
        seconds, done = time.perf_counter() - start, [page.name for page in pages]
        note = {"kernels": count, "seconds": seconds, "pages": done}
        FROM_NOTHING.write_text(json.dumps(note), encoding="utf-8")


def seconds_last_time(env: BuildEnvironment, name: str) -> float:
    """A page that was never executed counts as the longest: who starts last keeps all waiting."""
    data = NbMetadataCollector.get_exec_data(env, name)
    return float(data["runtime"] or "inf") if data else float("inf")


def kernel_count() -> int:
    """Returns how many kernels the cores and the free memory of this machine can carry."""
    return max(1, min(cpu_count(), int(psutil.virtual_memory().available / MEMORY)))


def client_of(notebook: Any, folder: Path, timeout: int, **options: Any) -> NotebookClient:
    """Returns what executes a notebook in a kernel of its own, at work in this folder."""
    return NotebookClient(
        notebook,
        timeout=timeout,
        record_timing=False,  # in the cells' metadata, which are part of the cache's key
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=40"],  # errors; no word on unencrypted sockets
        **options,
    )


async def execute_all(
    pages: list[Page], count: int, timeout: int, caches: Caches
) -> list[BaseException | None]:
    """Executes `count` pages at a time in the order given; returns each one's error, or None."""
    free = asyncio.Semaphore(count)
    done = 0

    async def execute(page: Page) -> None:
        nonlocal done
        async with free:
            logger.info(f"executing {page.name}")
            start = time.perf_counter()
            try:
                await client_of(page.notebook, page.path.parent, timeout).async_execute()
            except (CellExecutionError, CellTimeoutError):
                logger.info(f"{page.name} failed; the other pages go on")
                raise
            seconds = time.perf_counter() - start
        result = CacheBundleIn(page.notebook, str(page.path), data={"execution_seconds": seconds})
        cache = caches.open(page.name)
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
    caches = Caches()
    app.connect("env-get-outdated", caches.find_outdated)
    app.connect("env-before-read-docs", partial(execute_before_reading, caches))
    app.connect("source-read", caches.lead_to)
