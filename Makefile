# make quickstart   install into .venv and run the first study
# make test         install what the tests need and run them
# make test-gpu     test training on this machine's GPU, in a few minutes
# make lint         style, types and import layers
# make e2e          test on the cluster that KUBECONFIG names (images in it: images/load-into-lab.sh for the lab)
# make compile      write the KFP package anew
# make bench        print the ratios of benchmarks/ (with KUBECONFIG, those of the cluster too)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_ARGS ?=

.PHONY: quickstart install test test-gpu e2e cluster-named lint bench compile clean

quickstart: install
	$(BIN)/consort run studies/quickstart.toml

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Consort needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); torch is large, so this takes some minutes"
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable '.[test]'
	touch $@

test: $(VENV)/.installed-test
	env -u KUBECONFIG $(BIN)/pytest --ignore=tests/e2e $(PYTEST_ARGS)

GPU_TESTS := tests/integration/test_pack_on_gpu.py tests/integration/test_pack.py tests/integration/test_train.py \
	tests/integration/test_train_process.py tests/integration/test_predict.py tests/integration/test_gpu_throughput.py \
	tests/integration/test_latency_on_gpu.py tests/unit/train/test_number_format.py

test-gpu: $(VENV)/.installed-test
	$(BIN)/python -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no GPU that CUDA sees")'
	$(BIN)/pytest $(GPU_TESTS) $(PYTEST_ARGS)

e2e: cluster-named $(VENV)/.installed-test
	$(BIN)/pytest tests/e2e tests/contract/test_cluster_api.py $(PYTEST_ARGS)

cluster-named:
	@test -n "$$KUBECONFIG" || { echo "make e2e needs a cluster with the Training Operator: set KUBECONFIG to its file" >&2; exit 1; }

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# architecture_table.py makes data, in more than an hour, and wants to know where.
# cascade_promise.py and interval_coverage.py are about a pool of networks (pool.py), and take minutes; pool_logits.py makes
# one of a store. metric_coverage.py takes minutes too. gpu_throughput.py is run by gpu_proof.sh; compared.py is no program.
bench: $(VENV)/.installed-test
	for script in $(filter-out $(addprefix benchmarks/,architecture_table.py cascade_promise.py interval_coverage.py metric_coverage.py pool.py pool_logits.py gpu_throughput.py compared.py) $(if $(KUBECONFIG),,benchmarks/cluster_start.py),$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

compile: $(VENV)/.installed-test
	$(BIN)/python -m consort_pipelines.compile --output pipelines/compiled

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
