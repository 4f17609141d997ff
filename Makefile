# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
# make            everything into build/        make install   DESTDIR= PREFIX=/usr/local
# make check      unit tests                    make clean
# V=1 shows commands; CC=clang builds with clang; SAN=address,undefined (with its
# own BUILD=build/asan) builds with sanitizers. BPFDEFS=-D... is for tests that need
# the XDP program without one of its parts, in a BUILD of their own.

BUILD   ?= build
PREFIX  ?= /usr/local
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
VERSION := 0.1.0

# The way of a packet, in its order.
BPF    := steer cpumap rfs_kernel guard guard_cgroup gen
ENGINE := steer steer_rule steer_flow steer_build steer_cpu counter arfs umem xsk worker napi \
          dissect pkt gro gro_ip gro_tcp gro_udp netif tap tap_ring vlan backlog ip4 ip6 udp sock \
          lane rfs mem
DAEMON := main config device device_queue device_steer device_worker topology watch control porter \
          listener door handler facts ctlmsg ports judge diag guard guard_root netlink \
          netlink_link netlink_addr lanemem taps bypass rules binds settings workers rfs_kernel \
          explain flows answer json nic nic_irq ledger accel
LIB    := client attach lane cmsg recv view wait
CLI    := main opt out query tap print neigh frame dispatcher inject gen track receive recv stat \
          softnet sock flow flow_cond endpoint mask rule rps worker explain dump capture inbox \
          datagram replayer replay

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

PKGS     := libxdp libbpf liburcu-qsbr json-c libmnl libpcap
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection
ifeq ($(SAN),)
OPT      := -O2 -D_FORTIFY_SOURCE=2
else
OPT      := -O1 -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -DSLUICE_DEBUG
endif
CPPFLAGS += -D_GNU_SOURCE -D_LGPL_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -Iinclude -Iheaders -Ibpf -Iuser -isystem $(BUILD)
CFLAGS   += -std=gnu11 -g $(OPT) $(WARN) $(HARDEN) -pthread $(shell pkg-config --cflags $(PKGS))
LDFLAGS  += -pthread -Wl,--as-needed,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))
LDLIBS   += $(shell pkg-config --libs $(PKGS)) -lelf -lz
BPFFLAGS := -target bpf -g -O2 -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter \
            -Iinclude -Ibpf -idirafter /usr/include/$(shell gcc -print-multiarch) $(BPFDEFS)

skels       := $(BPF:%=$(BUILD)/bpf/%.skel.h)
engine_objs := $(ENGINE:%=$(BUILD)/user/engine/%.o)
daemon_objs := $(DAEMON:%=$(BUILD)/user/daemon/%.o)
lib_objs    := $(LIB:%=$(BUILD)/user/lib/%.o)
cli_objs    := $(CLI:%=$(BUILD)/user/cli/%.o)
unit_tests  := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
bpf_tests   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bpf/test_*.c))
net_tools   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/netns/*.c))
fuzzers     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
mans        := $(patsubst user/man/%.scd,$(BUILD)/man/%,$(wildcard user/man/*.scd))

.PHONY: all check install clean unit-tests bpf-tests net-tools fuzzers man
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/sluiced $(BUILD)/sluice $(BUILD)/libsluice.so $(BUILD)/libsluice.a $(BPF:%=$(BUILD)/bpf/%.bpf.o) man

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -MT $@ -c $< -o $@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Variants of a program that only tests load.
$(BUILD)/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -MT $@ -c $< -o $@

$(BUILD)/tests/bpf/%.skel.h: $(BUILD)/tests/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/tests/bpf/test_settings.o: $(BUILD)/tests/bpf/without.skel.h

$(BUILD)/user/lib/%.o: CFLAGS += -fPIC -fvisibility=hidden
$(BUILD)/user/engine/%.o $(BUILD)/user/daemon/%.o $(BUILD)/user/cli/%.o $(BUILD)/tests/%.o: CFLAGS += -fPIE

$(BUILD)/%.o: %.c | $(skels)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MD -MP -c $< -o $@

$(BUILD)/libengine.a: $(engine_objs)
$(BUILD)/libcli.a: $(filter-out %/main.o,$(cli_objs))
$(BUILD)/libsluice.a: $(lib_objs)
$(BUILD)/libdaemon.a: $(filter-out %/main.o,$(daemon_objs))
$(BUILD)/%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libsluice.so: $(lib_objs)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libsluice.so.0 $^ -o $@

$(BUILD)/sluiced: $(BUILD)/user/daemon/main.o $(BUILD)/libdaemon.a $(BUILD)/libengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pie $^ $(LDLIBS) -o $@

$(BUILD)/sluice: $(cli_objs) $(BUILD)/libsluice.a $(BUILD)/libengine.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pie $^ $(LDLIBS) -o $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libcli.a $(BUILD)/libdaemon.a $(BUILD)/libengine.a $(BUILD)/libsluice.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pie $^ $(LDLIBS) -lcmocka -o $@

# Fuzzers need clang: make CC=clang BUILD=build/fuzz SAN=fuzzer-no-link,address,undefined fuzzers
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libcli.a $(BUILD)/libdaemon.a $(BUILD)/libengine.a $(BUILD)/libsluice.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -pie $^ $(LDLIBS) -o $@

$(BUILD)/man/%: user/man/%.scd
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)scdoc < $< > $@

man: $(mans)
unit-tests: $(unit_tests)
bpf-tests: $(bpf_tests)
net-tools: $(net_tools)
fuzzers: $(fuzzers)

check: unit-tests
	$(Q)set -e; for t in $(unit_tests); do $$t; done

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include/sluice
	install -m 755 $(BUILD)/sluiced $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/sluice $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(BUILD)/libsluice.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/libsluice.so $(DESTDIR)$(PREFIX)/lib/libsluice.so.0
	ln -sf libsluice.so.0 $(DESTDIR)$(PREFIX)/lib/libsluice.so
	install -m 644 include/sluice/*.h $(DESTDIR)$(PREFIX)/include/sluice/
	for s in 1 3 8; do for m in $(BUILD)/man/*.$$s; do [ -e "$$m" ] || continue; \
		install -D -m 644 "$$m" "$(DESTDIR)$(PREFIX)/share/man/man$$s/$${m##*/}"; done; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
