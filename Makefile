# Two commands are all of the set-up: `make demo` and `make test`. Each makes its own virtual environment.

PYTHON ?= python3
# The CPU build of torch is enough for the tests; name another requirement here to use another.
TORCH ?= torch==2.13.0
PIP = -m pip install --quiet --disable-pip-version-check
PYTEST ?=
# SLOW=1 runs the tests that are marked as slow too, as .ci/run does.
SLOW ?=
# Several processes; a file's tests stay in one, because they share what is slow to make. One thread each, so that they do not spin.
WORKERS ?= -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test lint clean

demo: .venv-demo/ready
	.venv-demo/bin/python docs/demo.py

test: .venv-test/ready
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest $(if $(SLOW),,-m "not slow") $(WORKERS) $(PYTEST)

lint: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) .
	touch $@

.venv-test/ready: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP) "$(TORCH)"
	.venv-test/bin/python $(PIP) -e ".[test]"
	touch $@

clean:
	rm -rf .venv-demo .venv-test
