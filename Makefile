# Every command of the project; `make` lists them. Each one prepares the environment that it needs
# (setup_env.py), does only what has changed since, and can be interrupted and run again.

# The interpreter for a new environment: the first that is recent and complete enough. When there
# is none, setup_env.py says what is missing.
NEWEST := 99
.venv-colab: NEWEST := 13
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$python -c 'import sys, ensurepip; sys.exit(not 11 <= sys.version_info[1] <= $(NEWEST))' \
    2>/dev/null && echo $$python && break; done),python3)

BIN := .venv/bin
SITE := book/_build/html/index.html
UNFINISHED := book/_build/.unfinished

# One thread for each worker, as when the book is built: threads that compete for a core spin.
# Files are handed out in the order of tests/conftest.py, the longest first.
PYTEST := OMP_NUM_THREADS=1 L2G_HOME= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book notebooks student chapter form test test-colab replicate check bench gpu study lock clean distclean \
	.venv .venv-colab

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

book: notebooks ## execute the chapters that changed and build the site
	@mkdir -p book/_build
# After a build that failed or was interrupted, Sphinx reads every page again (--all): otherwise
# it would not repeat its warnings, nor finish the pages that it had left. Executed cells are kept.
	@all=$$(test ! -e $(UNFINISHED) || echo --all); touch $(UNFINISHED); \
	$(BIN)/jupyter-book build book -W -n --keep-going $$all
	@rm $(UNFINISHED)
	@echo "The site: $(CURDIR)/$(SITE)"

notebooks: .venv ## generate chapters/*.ipynb from book/*.md
	@$(BIN)/python book/_ext/l2g_book/notebooks.py
	@$(BIN)/python book/_ext/l2g_book/readme.py

chapter: .venv ## lay out a chapter of the plan that passes every test: make chapter N=03
	@$(BIN)/python book/_ext/l2g_book/new_chapter.py '$(N)'
	@$(MAKE) --no-print-directory notebooks
	@$(MAKE) --no-print-directory replicate CHAPTER='$(N)' OFFSETS=fresh

student: .venv ## write notebooks without solutions to student/, to hand out
	@$(BIN)/python book/_ext/l2g_book/notebooks.py --without-solutions student

# The book has executed every chapter: a test holds the notebooks' cells against those it ran.
test: check book ## run everything: style, types, units, notebooks, the site in a browser
	$(PYTEST) tests

test-colab: .venv .venv-colab ## run the notebooks and the live labs with the releases that Colab has
	@.venv-colab/bin/python -Xfrozen_modules=off -m ipykernel install --sys-prefix --name colab >/dev/null
	JUPYTER_PATH=.venv-colab/share/jupyter $(PYTEST) --nbmake --nbmake-timeout=600 --nbmake-kernel=colab chapters tests/test_live.py

replicate: .venv ## execute chapters under other seeds (CHAPTER="06 09"; OFFSETS="7000 8000" or fresh)
	@$(BIN)/python book/_ext/l2g_book/replicate.py --chapter $(CHAPTER) --offsets $(OFFSETS)

check: .venv ## check style, types and that the notebooks are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python book/_ext/l2g_book/notebooks.py --check
	$(BIN)/python book/_ext/l2g_book/readme.py --check

form: .venv ## measure each chapter against the form in STYLE.md
	@$(BIN)/python book/_ext/l2g_book/form.py

study: .venv ## run what the CIFAR-100 study still lacks (hours on a CPU; go on any time)
	$(BIN)/python -m l2g.study

bench: .venv ## measure speed, as ratios in one run (installs the trainers to compare with)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/population.py
	$(BIN)/python benchmarks/folds.py
	$(BIN)/python benchmarks/optimizers.py
	$(BIN)/python benchmarks/metrics.py

gpu: .venv ## hold what is computed on a GPU against the CPU (needs CUDA, takes minutes)
	$(BIN)/python benchmarks/gpu.py

# The oldest Python's releases run on the newer ones, too; what CUDA adds depends on the machine.
lock: .venv ## write the releases in .venv to tests/ci-constraints.txt, which CI uses
	@$(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools \
	--disable-pip-version-check > .venv/lock
	@{ echo '# The releases that CI tests each change with, written by "make lock"; never edited.'; \
	sed -E '/^(nvidia|cuda|triton)/d; s/[+].*//' .venv/lock; } > tests/ci-constraints.txt

clean: ## remove what was built; the environments stay
	rm -rf book/_build dist .pytest_cache .ruff_cache .mypy_cache

distclean: clean ## remove the environments, too
	rm -f .venv/.complete .venv-colab/.complete
	rm -rf .venv .venv-colab

.venv .venv-colab:
	@command -v $(PYTHON) >/dev/null || \
	{ echo "setup: no '$(PYTHON)' was found; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) setup_env.py $@
