# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOARCH  ?= $(shell go env GOARCH)
GO      := go
LDFLAGS := -s -w -X main.version=$(VERSION)
# A bundle that `everyexec btf pack` made, to be part of the binary.
BTF_BUNDLE ?=
TAGS    := $(if $(BTF_BUNDLE),-tags btfbundle)
BUILD   := CGO_ENABLED=0 GOARCH=$(GOARCH) $(GO) build -trimpath $(TAGS) -ldflags '$(LDFLAGS)'

# What `make deps` installs, each needed by the targets named.
DEPS_GENERATE := clang llvm libbpf-dev
DEPS_TEST     := file man-db chromium # the page of fleet is tried in a real browser
DEPS_BCC      := gcc libc6-dev libbpfcc-dev

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: run
run: build ## Build, and show every program that starts on this machine (as root)
	./bin/everyexec trace

.PHONY: build
build: ## Build the static binary bin/everyexec (GOARCH=arm64 for arm64, BTF_BUNDLE=file to embed one)
	$(if $(BTF_BUNDLE),@head -c 13 $(BTF_BUNDLE) | grep -q '^everyexec-btf' || { echo "$(BTF_BUNDLE) is no bundle; make one with everyexec btf pack"; exit 1; })
	$(if $(BTF_BUNDLE),cp $(BTF_BUNDLE) btf/embedded.bundle)
	$(BUILD) -o bin/everyexec ./cmd/everyexec

.PHONY: build-bcc
build-bcc: ## Build bin/everyexec-bcc, which has variant bcc and needs libbcc where it runs
	CGO_ENABLED=1 $(GO) build -tags bcc -trimpath -ldflags '$(LDFLAGS)' -o bin/everyexec-bcc ./cmd/everyexec

.PHONY: deps
deps: ## Install what generating, testing and build-bcc need (Debian and its kin, as root)
	@./.ci/deps $(DEPS_GENERATE) $(DEPS_TEST) $(DEPS_BCC)

.PHONY: generate
generate: ## Build the BPF objects anew from their C (needs clang 14, see make deps)
	$(GO) generate ./...

.PHONY: check-generate
check-generate: deps ## Fail if building the BPF objects anew changes a byte
	@before=$$($(MAKE) -s generated-sums) && $(MAKE) -s generate && after=$$($(MAKE) -s generated-sums) && \
	if [ "$$before" != "$$after" ]; then \
		echo "make generate changes these files; commit them:"; \
		{ echo "$$before"; echo "$$after"; } | sort | uniq -u | awk '{ print $$2 }' | sort -u; exit 1; \
	fi; echo "generated files are up to date"

.PHONY: generated-sums
generated-sums:
	@sha256sum bpf/*_bpfel.* bpf_noncore/*_bpfel.* loader/internal/testexec/*.bin

.PHONY: lint
lint: ## Run gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: test
test: deps lint check-generate build check-static check-bcc ## Run all tests; as root, or those that need root are skipped
	@./.ci/test
	@$(MAKE) --no-print-directory vmtest-smoke

.PHONY: check-static
check-static: build
	@file bin/everyexec | grep -q 'statically linked' || { echo "bin/everyexec is not static"; exit 1; }
	@$(GO) version -m bin/everyexec | grep -q 'CGO_ENABLED=0' || { echo "bin/everyexec was built with cgo"; exit 1; }
	@size=$$(stat -c %s bin/everyexec); [ $$size -lt $$((12 << 20)) ] || { echo "bin/everyexec has $$size bytes, 12 MiB is the limit"; exit 1; }

.PHONY: check-bcc
check-bcc: deps build build-bcc
	@file bin/everyexec-bcc | grep -q 'dynamically linked' || { echo "bin/everyexec-bcc is not dynamic"; exit 1; }
	@$(GO) version -m bin/everyexec-bcc | grep -q 'github.com/iovisor/gobpf' || { echo "bin/everyexec-bcc was built without gobpf"; exit 1; }
	@! $(GO) version -m bin/everyexec | grep -q 'github.com/iovisor/gobpf' || { echo "bin/everyexec was built with gobpf"; exit 1; }
	$(GO) vet -tags bcc ./loader ./bpf_noncore
	$(GO) tool staticcheck -tags bcc ./loader ./bpf_noncore
	$(GO) test -count=1 -tags bcc -run 'BCC|Headers|Choose' ./loader ./bpf_noncore

.PHONY: bench
bench: ## Run the benchmarks: decoding, writing, and (as root) what tracing costs beside execsnoop
	$(GO) test -run '^$$' -bench . -benchmem ./event ./cmd/everyexec/internal/output
	$(GO) test -run '^$$' -bench Cost -benchtime 3000x -count 3 ./cmd/everyexec

.PHONY: man
man: ## Write the man pages docs/man anew from the help texts
	$(GO) test ./cmd/everyexec -run TestManPages -update

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist

include vmtest/vmtest.mk
