# SPDX-License-Identifier: GPL-2.0
# Thin verbs over scripts/; each does by itself whatever set-up it needs.

LAB := scripts/in-root python3 -B scripts/lab

.PHONY: help setup modules tools demo shell bench profile check scenarios clean

help:
	@echo "make setup      everything that the lab needs, in a cache folder outside the tree"
	@echo "make modules    the two modules for the stock kernel, checked against it"
	@echo "make demo       Xen, dom0 and a guest under QEMU: traffic each way, beside the stock drivers"
	@echo "make bench      the same for longer, alternating; also as JSON"
	@echo "make profile    where every instruction of a packet goes (PROFILE=case, ARGS=--list: the cases)"
	@echo "make shell      the lab with a guest, and you at dom0's prompt"
	@echo "make check      the tests (FULL=1: the long ones too, half an hour more)"
	@echo "make scenarios NAMES='…' VIF=ours|stock   only these lab scenarios (none: the list)"
	@echo "make clean      what was built from this tree"

setup:
	@scripts/setup

modules:
	@scripts/setup stock-tree
	@scripts/build-modules
	@scripts/in-root scripts/check-drift

tools:
	@scripts/build-tools

demo bench shell: modules tools
	@scripts/setup images
	@$(LAB)/$@.py $(ARGS)

profile: modules tools
	@scripts/setup images
	@scripts/profile/build
	@scripts/in-root python3 -B scripts/profile/run.py '$(PROFILE)' $(ARGS)

check:
	@FULL=$(FULL) scripts/check

scenarios: modules tools
	@scripts/setup images
	@scripts/build-modules --kunit --if-prepared
	@$(LAB)/run.py $(if $(VIF),--vif $(VIF)) $(or $(NAMES),--list)

clean:
	@scripts/clean
