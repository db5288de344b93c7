# SPDX-License-Identifier: GPL-2.0
# "make help" says what there is. Objects are listed in Kbuild.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build

kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) RVIOMMU_DEBUG=$(RVIOMMU_DEBUG)

modules: kdir
	+$(kbuild) modules

install: modules
	+$(kbuild) modules_install
	# The kernel's own way does not run it without a System.map, which packages of headers lack.
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) \
		"$$($(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)"

clean:
	@if [ -e $(KDIR)/Makefile ]; then $(MAKE) -C $(KDIR) M=$(CURDIR) clean; fi
	rm -rf tools/build

kdir:
	@[ -e $(KDIR)/Makefile ] || { echo "No kernel to build against in $(KDIR)." >&2; \
	echo "Install the headers of your kernel (linux-headers-$(KVER)) or say where: make KDIR=..." >&2; exit 1; }

check:
	scripts/check

check-all:
	scripts/check-all

kunit:
	scripts/kunit um-lockdep

check-kcsan:
	scripts/kunit x86-kcsan

demo:
	scripts/demo

demo-riscv:
	scripts/demo-riscv

bench:
	scripts/bench

lint:
	scripts/lint

model:
	$(MAKE) -C src/sim/model library

tools:
	$(MAKE) -C tools

tools-install:
	$(MAKE) -C tools install

help:
	@echo 'make              build the modules for the running kernel (KDIR=... for another)'
	@echo 'make install      and install them'
	@echo 'make tools        build the program rviommu, which shows and does all of it; make tools-install'
	@echo 'make demo         DMA through driver and simulated IOMMU, in a Debian kernel on an emulated PC'
	@echo 'make demo-riscv   real devices behind the IOMMU of an emulated RISC-V machine'
	@echo 'make check        the tests that one waits for: every subject once, where it is cheapest'
	@echo 'make check-all    all tests; what was green on exactly this is not run again'
	@echo 'make kunit        the unit tests only, as a user-mode kernel: seconds'
	@echo 'make check-kcsan  the unit tests with the data race detector'
	@echo 'make bench        speed of page tables, beside the kernel'"'"'s own, of attach, and of page requests'
	@echo 'make lint         checkpatch, sparse, warnings, kernel-doc, shellcheck, the documentation'
	@echo 'make model        the simulated hardware as a user-space library (src/sim/model/build)'
	@echo 'make clean        remove what make built'
	@echo
	@echo 'RVIOMMU_DEBUG=1   adds the switches that break the driver on purpose (tests only)'
	@echo 'RVIOMMU_CACHE=... where test kernels are kept (default: ~/.cache/rviommu)'

.PHONY: modules install clean kdir check check-all kunit check-kcsan demo demo-riscv bench lint model tools \
	tools-install help
