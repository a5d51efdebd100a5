# What a person needs is in `make help`; each target installs what it lacks.

PORT ?= 8000
SERVER ?= apache
PREFIX ?= /usr/local
DESTDIR ?=
APXS ?= $(shell command -v apxs || command -v apxs2)
# The distribution's Python makes the tools' environments; which Pythons applications run on is the tests' own matter.
PYTHON ?= /usr/bin/python3
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= request body reply message

RELEASE := target/release
# A folder of its own: both modules come out of cargo under one name.
NGINX_TARGET := target/nginx
# A nginx of the Debian after the one this is for, and the module for it.
OTHER_RELEASE := trixie
OTHER_NGINX := target/nginx-$(OTHER_RELEASE)
# Where nginx looks for `modules/...`.
NGINX_MODULES ?= $(or $(shell $(or $(OXWSGI_NGINX),nginx) -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p'),/usr/lib/nginx/modules)
FUZZ := target/fuzz
TOOLS := target/tools
# Outside the checkout: as root, httpd's children run as another user, who may not be able to read the checkout.
DEMO := /var/tmp/oxwsgi-demo-$(shell id -u)

BUILD_PACKAGES := apache2 apache2-dev build-essential clang libclang-dev python3 python3-venv
# Whoever names sources has the nginx that they belong to.
NGINX_PACKAGES := $(if $(NGINX_SOURCE),,nginx nginx-dev)
NGINX_BUILD_PACKAGES := dpkg-dev libpcre2-dev libssl-dev zlib1g-dev

.PHONY: help setup build nginx demo test test-unit test-integration test-other-nginx test-reference fuzz soak lint format bench install install-nginx clean
.DEFAULT_GOAL := help

help: ## Say what there is.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that are missing.
	@./tools/apt-install $(BUILD_PACKAGES)

build: setup ## Build the module, the runtime and the command.
	cargo build --release

nginx: build ## Build the module for nginx, too.
	@./tools/apt-install $(NGINX_PACKAGES)
	cargo build --release --no-default-features --features nginx --package mod_oxwsgi --target-dir $(NGINX_TARGET)
	@# Under its own name, beside what belongs to it.
	ln -sf ../nginx/release/libmod_oxwsgi.so $(RELEASE)/ngx_http_oxwsgi_module.so

demo: build $(filter nginx,$(SERVER)) ## Serve the example on http://127.0.0.1:8000 (PORT=..., SERVER=nginx).
	@mkdir -p $(DEMO)
	@install -m 755 $(RELEASE)/libmod_oxwsgi.so $(RELEASE)/liboxwsgi_runtime.so $(RELEASE)/oxwsgi $(DEMO)/
	@test $(SERVER) != nginx || install -m 755 $(RELEASE)/ngx_http_oxwsgi_module.so $(DEMO)/
	@cp -R examples/hello_flask $(DEMO)/ && chmod -R a+rX $(DEMO)
	@test -x $(DEMO)/venv/bin/flask || { $(PYTHON) -m venv $(DEMO)/venv && \
		$(DEMO)/venv/bin/pip install --quiet -r examples/hello_flask/requirements.txt; }
	@$(DEMO)/oxwsgi serve $(DEMO)/hello_flask --server $(SERVER) --python $(DEMO)/venv --port $(PORT)

test: test-unit test-integration test-other-nginx test-reference ## Build and run all tests but the slow ones.

test-unit: build ## Run the tests that need no server.
	cargo test --quiet --workspace

test-integration: build nginx $(TOOLS)/.made ## Run the tests against real servers (PYTEST_ARGS=...).
	@./tools/apt-install $$(cat tests/apt-packages.txt)
	$(TOOLS)/bin/python -m pytest $(PYTEST_ARGS)

# `configure` finds out again what the module's build has to know, so it is another build of it.
test-other-nginx: export OXWSGI_NGINX = $(abspath $(OTHER_NGINX)/nginx)
test-other-nginx: build $(TOOLS)/.made ## Run the tests about nginx against one built from a newer Debian's source.
	@./tools/apt-install $(NGINX_BUILD_PACKAGES) $$(cat tests/apt-packages.txt)
	./tools/debian-nginx $(OTHER_RELEASE) $(OTHER_NGINX)
	NGINX_SOURCE=$(abspath $(OTHER_NGINX)/source) \
		cargo build --release --no-default-features --features nginx --package mod_oxwsgi --target-dir $(OTHER_NGINX)/module
	$(TOOLS)/bin/python -m pytest --lane nginx-daemon --nginx-module $(OTHER_NGINX)/module/release/libmod_oxwsgi.so \
		tests/nginx $(PYTEST_ARGS)

# Without the life cycle: threaded children of mod_wsgi 4.9.4 do not reliably end when they are told to. Daemon mode has
# the contract of both versions and the rest of the newer one; what is the same in both modes is tried in embedded mode.
test-reference: $(TOOLS)/.made ## Run the tests against mod_wsgi: those it fails must say why.
	@./tools/apt-install $$(cat tests/apt-packages.txt)
	$(TOOLS)/bin/python -m pytest --lane reference --lane reference-6 tests/contract tests/apache \
		--ignore tests/apache/test_lifecycle.py $(PYTEST_ARGS)
	$(TOOLS)/bin/python -m pytest --lane reference-daemon --lane reference-6-daemon tests/contract $(PYTEST_ARGS)
	$(TOOLS)/bin/python -m pytest --lane reference-6-daemon tests/daemon $(PYTEST_ARGS)

soak: build $(TOOLS)/.made ## Run the slow tests: many mixed requests, and some under valgrind.
	@./tools/apt-install $$(cat tests/apt-packages.txt)
	$(TOOLS)/bin/python -m pytest -m soak $(PYTEST_ARGS)

# The first variable lets a stable compiler take the flags that `cargo fuzz` needs; what they add does not link after
# link-time optimization. No reader may set aside more than 1 MiB for a length that it has only read: twice as much at
# once is a failure, and so is what adds up. A panic's own backtrace would take more: the sanitizer prints one.
fuzz: ## Fuzz the decoders (FUZZ_SECONDS=60 for each).
	@./tools/apt-install build-essential
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	cargo run --quiet --package oxwsgi-fuzz --example seeds
	@set -e; \
	export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=off ASAN_OPTIONS=quarantine_size_mb=16 RUST_BACKTRACE=0; \
	for target in $(FUZZ_TARGETS); do \
		cargo fuzz run --features libfuzzer --target-dir $(FUZZ) $$target -- -max_total_time=$(FUZZ_SECONDS) \
			-max_len=32768 -malloc_limit_mb=2 -rss_limit_mb=256 -timeout=5 -print_final_stats=1; \
	done

lint: setup $(TOOLS)/.made ## Check the style of Rust and Python.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@./tools/apt-install $(NGINX_PACKAGES)
	cargo clippy --no-default-features --features nginx --package mod_oxwsgi --target-dir $(NGINX_TARGET) -- -D warnings
	$(TOOLS)/bin/ruff check .
	$(TOOLS)/bin/ruff format --check .

format: $(TOOLS)/.made ## Put Rust and Python into style.
	cargo fmt --all
	$(TOOLS)/bin/ruff check --fix .
	$(TOOLS)/bin/ruff format .

bench: build ## Measure against mod_wsgi (BENCH_ARGS=...; see bench/README.md).
	@./tools/apt-install $$(cat bench/apt-packages.txt)
	$(PYTHON) bench/run.py $(BENCH_ARGS)

install: ## Install where apxs says (run `make build` first; DESTDIR, PREFIX).
	@test -n "$(APXS)" || { echo "apxs was not found: install apache2-dev (Debian) or httpd-devel (Red Hat)"; exit 1; }
	install -D -m 644 $(RELEASE)/libmod_oxwsgi.so $(DESTDIR)$$($(APXS) -q LIBEXECDIR)/mod_oxwsgi.so
	install -D -m 644 $(RELEASE)/liboxwsgi_runtime.so $(DESTDIR)$$($(APXS) -q LIBEXECDIR)/oxwsgi_runtime.abi3.so
	@# The command is the supervisor of daemon groups too, which the server runs as root from the folder of its module. The
	@# file is there, and PREFIX has a link: nobody who may write to PREFIX alone decides what root runs, and both are of one
	@# version.
	install -D -m 755 $(RELEASE)/oxwsgi $(DESTDIR)$$($(APXS) -q LIBEXECDIR)/oxwsgi
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -srf $(DESTDIR)$$($(APXS) -q LIBEXECDIR)/oxwsgi $(DESTDIR)$(PREFIX)/bin/oxwsgi
	@conf=$$($(APXS) -q SYSCONFDIR); \
	if [ -d $$conf/mods-available ]; then load=$$conf/mods-available; settings=$$conf/mods-available; \
	elif [ -d $$conf/../conf.modules.d ]; then load=$$conf/../conf.modules.d; settings=$$conf/../conf.d; \
	else load=$$conf/extra; settings=$$conf/extra; fi; \
	set -x; \
	install -D -m 644 module-conf/apache/oxwsgi.load $(DESTDIR)$$load/oxwsgi.load; \
	install -D -m 644 module-conf/apache/oxwsgi.conf $(DESTDIR)$$settings/oxwsgi.conf
	install -D -m 644 module-conf/apache/shared-hosting.conf \
		$(DESTDIR)$(PREFIX)/share/doc/oxwsgi/examples/shared-hosting.conf

install-nginx: ## Install for nginx (run `make nginx` first; DESTDIR, PREFIX, NGINX_MODULES).
	install -D -m 644 $(NGINX_TARGET)/release/libmod_oxwsgi.so $(DESTDIR)$(NGINX_MODULES)/ngx_http_oxwsgi_module.so
	install -D -m 644 $(RELEASE)/liboxwsgi_runtime.so $(DESTDIR)$(NGINX_MODULES)/oxwsgi_runtime.abi3.so
	install -D -m 755 $(RELEASE)/oxwsgi $(DESTDIR)$(NGINX_MODULES)/oxwsgi
	@# As for Apache: what root runs lies beside the module. Whoever has both servers has one link.
	install -d $(DESTDIR)$(PREFIX)/bin
	@test -e $(DESTDIR)$(PREFIX)/bin/oxwsgi || { set -x; ln -srf $(DESTDIR)$(NGINX_MODULES)/oxwsgi $(DESTDIR)$(PREFIX)/bin/oxwsgi; }
	@if [ -d /etc/nginx/modules-enabled ]; then folder=/usr/share/nginx/modules-available; \
	else folder=$(PREFIX)/share/doc/oxwsgi/examples; fi; \
	set -x; install -D -m 644 module-conf/nginx/oxwsgi-module.conf $(DESTDIR)$$folder/mod-http-oxwsgi.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/oxwsgi/examples/nginx module-conf/nginx/minimal.conf module-conf/nginx/example.conf

clean: ## Remove what was built.
	cargo clean
	rm -rf $(DEMO)

$(TOOLS)/.made: tests/requirements.txt
	@./tools/apt-install python3 python3-venv
	$(PYTHON) -m venv $(TOOLS)
	./tools/pip-install $(TOOLS) -r tests/requirements.txt
	@touch $@
