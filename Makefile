# What people type. Each target also does what it needs first; `make test` and `make demo` need root.

PREFIX = /usr/local
DESTDIR =

# A static binary needs an explicit target: otherwise the flags also reach proc macros and build
# scripts, which cannot be static.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
BIN := $(TARGET)/static/conward
CTL := $(TARGET)/static/conwardctl

STATIC := -C target-feature=+crt-static -C relocation-model=pie
# Whether a program that is built so for this target, with these flags, runs.
PROBE := $(TARGET)/probe
runs = $(shell (mkdir -p $(TARGET) && echo 'fn main() { println!("{:?}", std::env::args()) }' \
	| rustc --target $(1) $(2) -o $(PROBE) - && $(PROBE)) 2>/dev/null)

# With musl the binary is a third smaller, each supervisor holds a fourth less memory, and a launch is a tenth
# shorter. `rustup target add` has it, which tests/setup tries; without it the host's own libc has to do.
MUSL := $(HOST:-gnu=-musl)
TRIPLE = $(eval TRIPLE := $(if $(call runs,$(MUSL),$(STATIC)),$(MUSL),$(HOST)))$(TRIPLE)

# Relocations in the short form are 30 to 60 kB less. Linkers know it since binutils 2.38 and LLVM 15, libc since
# musl 1.2.4 and glibc 2.36; with an older libc the program would crash at its start.
SHORT := -C link-arg=-Wl,-z,pack-relative-relocs
FLAGS = $(eval FLAGS := $(STATIC) $(if $(call runs,$(TRIPLE),$(STATIC) $(SHORT)),$(SHORT)))$(FLAGS)
BUILD = RUSTFLAGS='$(FLAGS)' cargo build --release --target $(TRIPLE)

.PHONY: all build ready test test-libc demo bench faults soak fuzz lint install clean

all: build

# One file, no library and no interpreter: the supervisor starts in any container host's image, and
# its pages are shared by all that run. Built apart from its client, whose dependencies would switch on features
# of those that they share.
build:
	CONWARD_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	$(BUILD) --package conward --bin conward
	$(BUILD) --package conwardctl --bin conwardctl
	@mkdir -p $(dir $(BIN))
	@ln -f $(TARGET)/$(TRIPLE)/release/conward $(BIN)
	@ln -f $(TARGET)/$(TRIPLE)/release/conwardctl $(CTL)

# What whatever runs the release binary needs. A make of its own, since what was installed decides how it is built.
ready:
	tests/setup
	@$(MAKE) --no-print-directory build

test: ready
	@$(MAKE) --no-print-directory test-libc
	cargo build --workspace
	CONWARD_BIN=$(BIN) cargo nextest run --workspace
	cargo test --workspace --doc --quiet

# The parts of the supervisor with the C library that it is built with; in what follows, they have the host's.
test-libc:
	$(if $(filter-out $(HOST),$(TRIPLE)),cargo nextest run --target $(TRIPLE) --package conward --lib)

demo:
	tests/setup --demo
	@$(MAKE) --no-print-directory build
	@CONWARD_BIN=$(BIN) tests/demo

bench: ready
	RUSTFLAGS='$(STATIC)' cargo build --release --target $(HOST) --package conward-bench
	$(TARGET)/$(HOST)/release/conward-bench --ours $(BIN)

# Every system call of a life made to fail, in each of the ways in which it may; `test` tries a sample.
faults: ready
	cargo build --workspace
	CONWARD_BIN=$(BIN) CONWARD_FAULTS=all cargo nextest run --test faults

# Hundreds of supervisors, tens of thousands of clients and sessions, a day of output: with numbers at the end, within
# 20 minutes. `test` has a little of each.
SOAK := $(TARGET)/soak.md
soak: ready
	cargo build --workspace
	@rm -f $(SOAK)
	CONWARD_BIN=$(BIN) CONWARD_SOAK=all CONWARD_SOAK_REPORT=$(SOAK) cargo nextest run --profile soak --test soak; \
	status=$$?; cat $(SOAK); exit $$status

# Bytes that break the checks of tests/checks, looked for with libFuzzer. `test` tries what is known.
fuzz:
	tests/setup --fuzz
	tests/fuzz

lint:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(if $(filter-out $(HOST),$(TRIPLE)),cargo clippy --target $(TRIPLE) --package conward -- -D warnings)

install: build
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/conward
	install -D -m 755 $(CTL) $(DESTDIR)$(PREFIX)/bin/conwardctl
	install -D -m 644 man/conward.8 $(DESTDIR)$(PREFIX)/share/man/man8/conward.8
	install -D -m 644 man/conwardctl.1 $(DESTDIR)$(PREFIX)/share/man/man1/conwardctl.1
	install -D -m 644 man/conward-protocol.7 $(DESTDIR)$(PREFIX)/share/man/man7/conward-protocol.7

clean:
	cargo clean
