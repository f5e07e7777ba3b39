# Hatcheck. `make help` lists the targets; V=1 shows the commands.
# Everything built lands in out/MODE; MODE is release, or san (SAN=1).

MODE    := $(if $(SAN),san,release)
O       := out/$(MODE)
Q       := $(if $(V),,@)
CC      ?= gcc
PKG      = pkg-config
VERSION := 0.1.0

# One id for all programs of a build: a hash of every source that goes in.
SOURCES  := $(sort $(wildcard lib/*.[ch] keys/*.[ch] scope/*.[ch] \
	messages/*.[ch] vault/*.[ch] vault/*/*.[ch] minter/*.[ch] \
	egress/*/*.[ch] supervisor/*.[ch] cli/*.[ch] guest-agent/*.[ch]))
BUILD_ID := $(shell cat $(SOURCES) Makefile | sha256sum | cut -c1-16)-$(MODE)

PREFIX     ?= /usr/local
LIBEXECDIR ?= $(PREFIX)/libexec/hatcheck
DATADIR    ?= $(PREFIX)/share/hatcheck
MANDIR     ?= $(PREFIX)/share/man
SYSTEMDDIR ?= $(PREFIX)/lib/systemd
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d

WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wundef -Wno-missing-field-initializers -Wno-comment
HARDEN := -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fPIE -ftrivial-auto-var-init=zero
CFLAGS   ?= -O2 -g
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. $(WARN) $(HARDEN) $(CFLAGS) $(SANFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed \
	$(LDFLAGS) $(SANFLAGS)
ifdef SAN
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -DHATCHECK_SANITIZED=1
else
ALL_CFLAGS += -D_FORTIFY_SOURCE=2
endif

# llhttp: a library on Debian 13; its packaged C sources on Debian 12.
ifeq ($(shell $(PKG) --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_LIBS := $(shell $(PKG) --libs libllhttp)
LLHTTP_OBJS :=
else
LLHTTP_SRC  := /usr/share/llhttp
LLHTTP_CFLAGS := -I/usr/share/include/llhttp
LLHTTP_OBJS := $(patsubst %,$(O)/llhttp/%.o,api http llhttp)
endif

lib_libs      := -lsodium -lev -lseccomp
keys_libs     := -lcrypto -ljansson
scope_libs    := -lpsl -ljansson -lyaml
http_libs     := $(LLHTTP_LIBS) -lnghttp2 -lssl -lcrypto
vault_libs     = $(shell $(PKG) --libs libsecret-1) -lsqlite3 $(scope_libs) \
	$(keys_libs) $(lib_libs)
minter_libs   := -lmicrohttpd -lsqlite3 $(scope_libs) $(keys_libs) $(lib_libs)
gate_libs     := $(http_libs) $(scope_libs) $(keys_libs) $(lib_libs)
courier_libs  := -lz -lbrotlidec -lzstd $(http_libs) $(scope_libs) $(keys_libs) $(lib_libs)
dialer_libs   := $(scope_libs) $(lib_libs)
supervisor_libs := $(lib_libs) -lcyaml -lyaml -lcap
cli_libs      := -lutil -lsqlite3 $(scope_libs) $(keys_libs) $(lib_libs)

# Archives from the bottom up; a program links its own objects, then these.
objs = $(patsubst %.c,$(O)/%.o,$(filter-out %/main.c,$(wildcard $(1))))
ARCHIVES := lib keys scope messages vault minter http gate courier dialer \
	supervisor cli
src_lib := lib/*.c
src_keys := keys/*.c
src_scope := scope/*.c
src_messages := messages/*.c
src_vault := vault/*.c vault/*/*.c
src_minter := minter/*.c
src_http := egress/http/*.c
src_gate := egress/gate/*.c
src_courier := egress/courier/*.c
src_dialer := egress/dialer/*.c
src_supervisor := supervisor/*.c
src_cli := cli/*.c
BASE = $(foreach a,messages scope keys lib,$(O)/lib$(a).a)

bin_vault := hatcheck-vault
bin_minter := hatcheck-minter
bin_gate := hatcheck-gate
bin_courier := hatcheck-courier
bin_dialer := hatcheck-dialer
bin_supervisor := hatcheckd
bin_cli := hatcheck
main_vault := vault/main.c
main_minter := minter/main.c
main_gate := egress/gate/main.c
main_courier := egress/courier/main.c
main_dialer := egress/dialer/main.c
main_supervisor := supervisor/main.c
main_cli := cli/main.c
PARTS := $(foreach p,vault minter gate courier dialer supervisor cli,\
	$(if $(wildcard $(main_$(p))),$(p)))
PROGRAMS := $(foreach p,$(PARTS),$(O)/bin/$(bin_$(p))) \
	$(if $(wildcard guest-agent/main.c),$(O)/bin/hatcheck-guest)

UNIT_TESTS := $(patsubst tests/unit/%.c,$(O)/unit/%,\
	$(wildcard tests/unit/*/test_*.c))

.PHONY: all demo check check-vm deps lint fuzz bench clean help install unit FORCE
.DEFAULT_GOAL := all

all: $(PROGRAMS) ## build every program

$(O)/build-id: FORCE
	@mkdir -p $(@D)
	@echo '$(BUILD_ID)' | cmp -s - $@ || echo '$(BUILD_ID)' > $@

# Programs that know where they are installed.
$(O)/paths: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBEXECDIR) $(DATADIR)' | cmp -s - $@ || \
		echo '$(LIBEXECDIR) $(DATADIR)' > $@
$(patsubst %.c,$(O)/%.o,$(wildcard cli/*.c supervisor/*.c)): $(O)/paths

$(O)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c -o $@ $<

# Only what says the id depends on it.
ID_OBJS := $(O)/lib/link.o
$(ID_OBJS): $(O)/build-id
$(ID_OBJS): EXTRA_CFLAGS = -DBUILD_ID='"$(BUILD_ID)"'
PATH_OBJS := $(O)/cli/% $(O)/supervisor/%
$(O)/cli/%.o $(O)/supervisor/%.o $(O)/minter/%.o: EXTRA_CFLAGS = -DVERSION='"$(VERSION)"' \
	-DLIBEXECDIR='"$(LIBEXECDIR)"' -DDATADIR='"$(DATADIR)"'
$(O)/egress/http/%.o: EXTRA_CFLAGS = $(LLHTTP_CFLAGS)
$(O)/vault/%.o: EXTRA_CFLAGS = $(shell $(PKG) --cflags libsecret-1) \
	-DSECRET_API_SUBJECT_TO_CHANGE

$(O)/llhttp/%.o: $(LLHTTP_SRC)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -g -fPIE -w $(SANFLAGS) $(LLHTTP_CFLAGS) -c -o $@ $<

define archive_rule
$(O)/lib$(1).a: $(foreach s,$(src_$(1)),$(call objs,$(s))) \
	$(if $(filter http,$(1)),$(LLHTTP_OBJS))
	@mkdir -p $$(@D) && rm -f $$@
	$(Q)ar rcs $$@ $$^
endef
$(foreach a,$(ARCHIVES),$(eval $(call archive_rule,$(a))))

define program_rule
$(O)/bin/$(bin_$(1)): $(patsubst %.c,$(O)/%.o,$(main_$(1))) $(O)/lib$(1).a \
	$(if $(filter gate courier,$(1)),$(O)/libhttp.a) \
	$(if $(filter cli,$(1)),$(O)/libminter.a) $$(BASE)
	@mkdir -p $$(@D)
	@echo "  LD   $$@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $$($(1)_libs)
endef
$(foreach p,$(PARTS),$(eval $(call program_rule,$(p))))

# The guest agent: libc only, static, for any Linux.
GUEST_CC ?= musl-gcc
GUEST_CFLAGS = -std=c17 -D_GNU_SOURCE -I. $(WARN) -Os -g0 -static \
	-fstack-protector-strong -ffunction-sections -fdata-sections \
	-DVERSION='"$(VERSION)"'
$(O)/bin/hatcheck-guest: $(wildcard guest-agent/*.c guest-agent/*.h)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -Wl,--gc-sections -s -o $@ \
		$(filter %.c,$^)

# A unit test of area A links A's archive and everything below it.
unit_libs = $(sort $(foreach a,$(ARCHIVES),$($(a)_libs))) -lbrotlienc
define unit_rule
$(O)/unit/$(1)/%: tests/unit/$(1)/%.c $(O)/lib$(1).a \
	$(if $(filter gate courier,$(1)),$(O)/libhttp.a) \
	$(if $(filter cli,$(1)),$(O)/libminter.a) $$(BASE)
	@mkdir -p $$(@D)
	@echo "  TEST $$<"
	$(Q)$(CC) $(ALL_CFLAGS) $(LLHTTP_CFLAGS) -MMD -MP -MF $$@.d $(ALL_LDFLAGS) \
		$$(if $$(filter vault,$(1)),$$(shell $(PKG) --cflags libsecret-1)) \
		-o $$@ $$< $$(filter %.a,$$^) -lcmocka $$(unit_libs)
endef
$(foreach a,$(ARCHIVES),$(eval $(call unit_rule,$(a))))

unit: $(UNIT_TESTS) ## build and run the unit tests only
	$(Q)tests/run --unit $(O)

deps: ## install the Debian packages that are missing
	$(Q)tools/deps build

check: ## every test; ends with "N passed, N failed"
	$(Q)tools/deps check
	$(Q)$(MAKE) --no-print-directory all $(UNIT_TESTS) && tests/run $(O)

check-vm: ## guests over vsock, in a VM that QEMU emulates
	$(Q)tools/deps vm
	$(Q)$(MAKE) --no-print-directory all && tests/run --vm $(O)

demo: ## the main job, shown line by line
	$(Q)tools/deps demo
	$(Q)$(MAKE) --no-print-directory all && tools/demo $(O)

lint: ## clang-tidy, cppcheck, gcc -fanalyzer
	$(Q)tools/deps lint && tools/lint

# The parsers again under clang's fuzzer; SECONDS for each target.
SECONDS ?= 5
FUZZERS := $(patsubst tests/fuzz/%.c,out/fuzz/bin/%,\
	$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-DHATCHECK_SANITIZED=1
fuzz: ## fuzz every parser for SECONDS (5) each
	$(Q)tools/deps fuzz
	$(Q)$(MAKE) --no-print-directory MODE=fuzz CC=clang HARDEN=-fPIE \
		SANFLAGS='$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link' $(FUZZERS)
	$(Q)tests/fuzz/run out/fuzz $(SECONDS)

out/fuzz/bin/%: tests/fuzz/%.c \
	$(foreach a,courier gate dialer http,$(O)/lib$(a).a) $(BASE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LLHTTP_CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) \
		-o $@ $< $(filter %.a,$^) $(unit_libs)

bench: all ## measure, beside what one would pick instead; QUICK=1
	$(Q)tools/deps bench && bench/run $(O) $(if $(QUICK),--quick)
	$(Q)for b in $(if $(QUICK),,scrub audit h2); do CC='$(CC)' bench/run-$$b $(O) || exit; done

D = $(DESTDIR)
HELPERS = hatcheckd $(addprefix hatcheck-,vault minter dialer gate courier)
install: all ## copy everything to DESTDIR and PREFIX (/usr/local)
	install -d $D$(PREFIX)/bin $D$(LIBEXECDIR) $D$(DATADIR)/presets \
		$D$(MANDIR)/man1 $D$(MANDIR)/man5 $D$(MANDIR)/man8 \
		$D$(SYSTEMDDIR)/system $D$(SYSTEMDDIR)/user $D$(SYSUSERSDIR)
	install -m 755 $(O)/bin/hatcheck $(O)/bin/hatcheck-guest $D$(PREFIX)/bin
	install -m 755 $(addprefix $(O)/bin/,$(HELPERS)) $D$(LIBEXECDIR)
	install -m 644 presets/*.yaml $D$(DATADIR)/presets
	$(Q)for p in docs/man/*.[1-8]; do \
		install -m 644 $$p $D$(MANDIR)/man$${p##*.} || exit 1; done
	$(Q)for u in system/hatcheck system/hatcheck-guest user/hatcheck; do \
		sed 's|@LIBEXECDIR@|$(LIBEXECDIR)|; s|@BINDIR@|$(PREFIX)/bin|' \
			packaging/$$u.service \
			> $D$(SYSTEMDDIR)/$$u.service || exit 1; done
	install -m 644 packaging/guest/hatcheck-guest.sh $D$(DATADIR)
	install -m 644 packaging/sysusers.d/hatcheck.conf $D$(SYSUSERSDIR)

clean: ## remove everything built
	rm -rf out

help: ## this text
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 12

-include $(shell find $(O) -name '*.d' 2>/dev/null)
