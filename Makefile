# All there is. `make demo` and `make test` need nothing but the Rust toolchain: they install the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo "nextest run" || echo test)

PROGRAM ?= target/release/tapsieve

.PHONY: help demo test test-deps install tryout check t bless fuzz bench bench-live soak icount differential ci build-deps

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: build-deps ## replay a recorded capture against a MISP feed and show the alerts
	@deploy/demo

test: build-deps ## every test this machine can run; says aloud what it skips
	cargo $(NEXTEST)

build-deps: # libpcap headers, where they are missing
	@deploy/install-deps build

test-deps: ## install all that the tests can use: from the system's package manager, and peers into target/peers
	@deploy/install-deps test

install: ## the program that `cargo build --release` made, its unit, user and folders, below DESTDIR
	install -D -m 0755 $(PROGRAM) $(DESTDIR)/usr/bin/tapsieve
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/system deploy/systemd/tapsieve.service
	install -D -m 0644 -t $(DESTDIR)/usr/lib/sysusers.d deploy/sysusers.d/tapsieve.conf
	install -D -m 0644 -t $(DESTDIR)/usr/lib/tmpfiles.d deploy/tmpfiles.d/tapsieve.conf
	@test -e $(DESTDIR)/etc/tapsieve/tapsieve.toml || \
	  install -D -m 0644 -t $(DESTDIR)/etc/tapsieve deploy/tapsieve.toml

tryout: ## follow deploy/README.md on a bare Debian, booted in a container; needs root and a Debian mirror
	@PROGRAM="$(PROGRAM)" deploy/tryout

check: ## format, lint, fast tests: the inner loop
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo $(NEXTEST) --lib

t: ## tests whose name holds FILTER
	cargo $(NEXTEST) $(FILTER)

bless: ## rewrite goldens, schema and reference pages; read the diff
	BLESS=1 cargo $(NEXTEST) --test it

fuzz: ## fuzz TARGET (dissect, decode, capture, feed, compiled, all) for SECS seconds; PROTO picks a dissector
	@PROTO="$(PROTO)" deploy/fuzz "$(or $(TARGET),dissect)" "$(or $(SECS),60)"

bench: build-deps ## the table of benches/README.md, with its answers checked
	cargo bench --bench replay

bench-live: build-deps ## the highest rate without loss on a veth pair of its own, tcpdump beside it (root, about half an hour)
	cargo bench --bench live

soak: build-deps ## a sensor under load for SECS (3600) seconds at PPS (280000): flat memory, every packet accounted for (root)
	@SECS="$(SECS)" PPS="$(PPS)" deploy/soak

icount: build-deps ## instructions of each stage under callgrind, against the committed baseline; BLESS=1 records
	@BLESS="$(BLESS)" deploy/icount

differential: build-deps ## our fields against tshark's on the fixtures and, where it lies beside, the corpus
	cargo $(NEXTEST) --test it differential

ci: ## everything CI runs, in CI's order
	@.ci/run
