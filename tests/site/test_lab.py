"""Live labs in a real JupyterLab: a slider moves, the figure follows, and nothing goes wrong."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
PATIENCE = 120_000  # milliseconds, on a busy machine
PICTURE = ".widget-html-content img"

CELL = """\
import time
import matplotlib.pyplot as plt
from l2g import explore

calls = []

def draw(width_of_the_hidden_layer=2, optimizer="SGD"):
    width = width_of_the_hidden_layer
    calls.append(width)
    for k in range(20):
        time.sleep(0.05)
        yield k / 20
    plt.plot(range(width))
    if width == 10:
        raise ValueError("ten")
    return f"drawn {width} {optimizer}"

explore.live(draw, alt="A line.", width_of_the_hidden_layer=(1, 40), optimizer=["SGD", "Adam"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab with a home of its own: its address, its folder and its log."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install jupyterlab")
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if "JUPYTER" not in name}
    environ |= {"HOME": str(home), "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    environ.pop("L2G_STATIC", None)
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--allow-root"]
    options += ["--ServerApp.port_retries=0", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", process)
        yield address, folder, home / "log"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(address, process):
    for _ in range(PATIENCE // 500):
        assert process.poll() is None, "JupyterLab has ended"
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("JupyterLab does not answer")


def run_all(page, server, sources):
    """Opens a new notebook with these cells, and runs them one after another."""
    address, folder, _ = server
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources], metadata=KERNEL
    )
    nbformat.write(notebook, folder / "lab.ipynb")
    page.goto(f"{address}/doc/tree/lab.ipynb?reset")
    page.get_by_text("| Idle").wait_for()  # before that, JupyterLab forgets what it is asked to run
    page.locator(".jp-CodeCell .cm-content").first.click()
    for _ in sources:
        page.keyboard.press("Shift+Enter")
    page.wait_for_selector(PICTURE)


def said(page, text):
    page.locator(".widget-html-content", has_text=text).wait_for()


def handle(page, name):
    """What the keyboard moves of the slider with this label."""
    slider = page.locator(".widget-hslider", has=page.locator(f"label:text-is('{name}')"))
    return slider.locator(".noUi-handle")


@pytest.fixture
def page(browser, server, watch):
    """An empty page. Afterwards nobody has reported an error: page, server, kernel.

    JupyterLab warns when a busy machine makes it slow, so that warnings are no errors here.
    """
    reported = []
    page = watch(browser.new_page(viewport={"width": 1100, "height": 800}), reported)
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()
    log = server[2].read_text()
    reported += re.findall(r"^\[[EC] .*|^Traceback.*|^\w*Error.*", log, re.MULTILINE)
    assert [report for report in reported if not report.startswith("warning: ")] == []


def test_a_lab_is_moved_by_keyboard_in_jupyterlab(page, server):
    run_all(page, server, [CELL])
    start = page.locator(PICTURE).get_attribute("src")
    slider = handle(page, "width of the hidden layer")
    slider.focus()
    for _ in range(5):  # faster than it is drawn
        page.keyboard.press("ArrowRight")
    page.get_by_text("computing").wait_for()
    said(page, "drawn 7 SGD")
    assert page.locator(PICTURE).get_attribute("src") != start
    assert page.locator(PICTURE).get_attribute("alt").startswith("A line. (width of the hid")
    page.get_by_text("computing").wait_for(state="hidden")
    page.locator(".widget-dropdown select").select_option("Adam")
    said(page, "drawn 7 Adam")


def test_drawings_do_not_pile_up_and_an_error_is_not_the_end(page, server):
    run_all(page, server, [CELL, "print('calls:', calls)"])
    slider = handle(page, "width of the hidden layer")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)  # longer than a drawing waits, shorter than it takes
    said(page, "ValueError: ten")
    page.keyboard.press("ArrowRight")
    said(page, "drawn 11 SGD")
    page.locator(".jp-CodeCell .cm-content").nth(1).click()
    page.keyboard.press("Shift+Enter")
    page.locator(".jp-OutputArea-output", has_text="10, 11]").wait_for()
    assert page.locator(".widget-html-content").count() == 1  # nothing was shown beside the lab


def lab_of_chapter_1():
    """Its code cells up to the lab."""
    notebook = nbformat.read(ROOT / "chapters/01_generalization.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield cell.source
            if "explore.live(" in cell.source:
                return


def test_the_lab_of_chapter_1_is_moved_in_jupyterlab(page, server):
    run_all(page, server, [*lab_of_chapter_1()])
    lab = page.locator(PICTURE).last
    start = lab.get_attribute("src")
    assert "labels from a hat: 0.5, images: 200, width: 256" in lab.get_attribute("alt")
    handle(page, "images").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(f"{PICTURE}[alt*='images: 100']").wait_for()
    assert lab.get_attribute("src") != start
