# SPDX-License-Identifier: Apache-2.0
# Real kernels in QEMU; the Makefile includes this. docs/vmtest.md tells more.

# What booting guests, and building kernels, needs.
DEPS_VM    := qemu-system-x86 debian-archive-keyring
DEPS_VMALL := $(DEPS_VM) qemu-system-arm bc bison cpio dwarves flex gcc gcc-12-plugin-dev libc6-dev libelf-dev libssl-dev make patch xz-utils
# Of these the smoke set needs all but the emulator of arm64, the compiler's plugins and pahole.
DEPS_SMOKE := $(filter-out qemu-system-arm gcc-12-plugin-dev dwarves,$(DEPS_VMALL))

VMTEST := $(GO) run ./vmtest

.PHONY: vmtest
vmtest: ## Boot all kernels, or KERNEL=bzImage [BTF=file], and test on them (ARGS= passes flags of vmtest)
ifdef KERNEL
	@./.ci/deps $(DEPS_VM)
	$(VMTEST) -kernel '$(KERNEL)' $(if $(BTF),-btf '$(BTF)') $(ARGS)
else
	@./.ci/deps $(DEPS_VMALL)
	$(VMTEST) $(ARGS)
endif

.PHONY: vmtest-smoke
vmtest-smoke: ## Boot the smoke set of kernels, as make test does
	@./.ci/deps $(DEPS_SMOKE)
	$(VMTEST) -smoke $(ARGS)
