# sgatlin: one build system, no generated configure. `make help` lists the targets.
#
#   build/                 the command, the libraries, objects (build/obj), tests (build/tests)
#   VARIANT=asan           the same under build/asan, with AddressSanitizer and UBSan
#   VARIANT=tsan           the same under build/tsan, with ThreadSanitizer: clang, whose OpenMP it understands
# Objects carry their own dependencies (-MMD) and the flags they were made with, so nothing needs `make clean`.

VERSION := 0.1.0
PREFIX ?= /usr/local
VARIANT ?=
BUILD ?= build$(if $(VARIANT),/$(VARIANT))
CC ?= cc
PKGS := jansson libpcre2-8 libutf8proc libzstd zlib sqlite3
ESBUILD ?= esbuild
NODE_MODULES ?= /usr/share/nodejs
PKG_CONFIG ?= pkg-config

# The variants differ in these three only, and set them before the first use.
ifeq ($(VARIANT),asan)
OPT ?= -O1 -g
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(VARIANT),fuzz)
OPT ?= -O1 -g
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(VARIANT),tsan)
OPT ?= -O1 -g
SANITIZE := -fsanitize=thread -fno-omit-frame-pointer
else
# -O3 without -ffast-math: sums may be reordered only in loops that say so (#pragma omp simd reduction).
OPT ?= -O3 -g1
# Level 3 where compiler and C library know it; glibc warns where they do not.
FORTIFY := $(shell $(CC) -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -Werror -include string.h -x c -c -o /dev/null /dev/null 2>/dev/null && echo 3 || echo 2)
HARDEN := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY)
endif
WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wconversion -Wno-sign-conversion
# What clang does not share with gcc: a loop that it does not vectorise is no fault; and instruction sets of kernels come as flags,
# where gcc takes them from a pragma in the file.
CLANG := $(shell $(CC) --version 2>/dev/null | grep clang)
WARN += $(if $(CLANG),-Wno-pass-failed)
# Each optimizer is a file; this list of them is what src/train/optim.h includes.
OPTIMIZERS := $(patsubst src/train/optim_%.c,%,$(sort $(wildcard src/train/optim_*.c)))
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
CPPFLAGS_ALL := -Iinclude -Isrc -D_GNU_SOURCE -I$(BUILD)/gen $(CPPFLAGS)
CFLAGS_ALL := -std=c11 $(OPT) -fno-math-errno -fno-trapping-math -ffp-contract=fast -fopenmp -fPIC -fvisibility=hidden $(WARN) $(HARDEN) $(SANITIZE) $(CFLAGS)
LDLIBS_ALL := -ldnnl $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo -ljansson -lpcre2-8 -lutf8proc -lzstd -lz -lsqlite3) -lxxhash -llapacke -fopenmp -lm $(LDLIBS)
LDFLAGS_ALL := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
ifneq ($(CLANG),)
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
$(BUILD)/obj/src/math/kernels_avx2.o: CFLAGS_ALL += -mavx2 -mfma -mbmi2 -mf16c
$(BUILD)/obj/src/math/kernels_avx512.o: CFLAGS_ALL += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mbmi2 -mf16c -mprefer-vector-width=512
endif
endif
ifeq ($(VARIANT),coverage)
CFLAGS_ALL += -O1 -g --coverage -fprofile-update=atomic
LDFLAGS_ALL += --coverage
endif
# Not part of the flags that objects are made again for: -Werror changes no byte of them.
STRICT := $(if $(WERROR),-Werror)
JOBS := -j$(shell nproc 2>/dev/null || echo 2)

LIB_SRC := $(sort $(wildcard src/*/*.c))
CLI_SRC := $(sort $(wildcard cli/*.c))
# The command's MPI part, where there is an MPI to build it with; the command loads it under mpirun and needs none otherwise.
MPI_FLAGS := $(shell $(PKG_CONFIG) --cflags ompi-c 2>/dev/null)
MPI_PART := $(if $(shell $(PKG_CONFIG) --libs ompi-c 2>/dev/null),$(BUILD)/sgatlin-mpi.so)
SERVER_SRC := $(sort $(wildcard server/*.c))
WEB_SRC := $(sort $(wildcard web/src/*.ts))
WEB := $(addprefix $(BUILD)/web/,index.html app.js app.css icon.svg)
REF_SRC := $(sort $(wildcard tests/ref/*.c tests/support/*.c))
TEST_SRC := $(sort $(wildcard tests/unit/test_*.c tests/grad/test_*.c tests/golden/test_*.c))
DATA_SRC := $(sort $(wildcard data/worlds/*.json))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/embedded.o
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
SERVER_OBJ := $(SERVER_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/web.o $(BUILD)/obj/gen/schema.o
REF_OBJ := $(REF_SRC:%.c=$(BUILD)/obj/%.o)
HTTP_TEST_SRC := $(sort $(wildcard tests/http/test_*.c))
HTTP_HELP := $(filter-out $(HTTP_TEST_SRC),$(sort $(wildcard tests/http/*.c)))
# Tests that run the command's main inside themselves: every file call failed, killed, cut off.
FAULT_TEST_SRC := $(sort $(wildcard tests/faults/test_*.c))
FAULT_WRAP := -Wl,--wrap=statvfs,--wrap=time,--wrap=clock_gettime # the room and the time that tests let a command see
FAULT_HELP := $(filter-out $(FAULT_TEST_SRC),$(sort $(wildcard tests/faults/*.c)))
# One parser each, fed with any bytes: libFuzzer drives them (make fuzz), tests replay kept inputs and mutate right files.
FUZZ_TEST_SRC := $(sort $(wildcard tests/fuzz/test_*.c))
FUZZ_HELP := $(filter-out $(FUZZ_TEST_SRC) tests/fuzz/driver.c,$(sort $(wildcard tests/fuzz/*.c)))
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC) $(HTTP_TEST_SRC) $(FAULT_TEST_SRC) $(FUZZ_TEST_SRC))
CLI_TESTS := $(sort $(wildcard tests/cli/test_*.sh))
LINTS := $(sort $(wildcard tools/lint_*.sh))
# C tests that `make check` leaves to `make test`: long ones, and those in which time passes (clients that wait, hang up, drip bytes).
SLOW := $(FAULT_TEST_SRC:tests/%.c=%) $(FUZZ_TEST_SRC:tests/%.c=%) unit/test_corpus unit/test_reader unit/test_tokenizer_linear unit/test_worlds \
  http/test_http http/test_hostile http/test_six http/test_cancel http/test_load

# The longest of those that it runs, so that none is left alone at the end.
FIRST := grad/test_model grad/test_ffn unit/test_resume unit/test_generate unit/test_score

.PHONY: all help deps demo test check bench asan coverage install uninstall clean FORCE
.SECONDARY:
all: $(BUILD)/sgatlin $(BUILD)/libsgatlin.a $(BUILD)/libsgatlin.so $(MPI_PART)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

deps: ## install the system packages of scripts/packages.txt (Debian, root or sudo)
	@sh scripts/setup.sh

demo: ## set-up, build, and the main job: from the built-in corpus to a model that tells a story (5 to 14 minutes)
	@sh scripts/setup.sh
	@$(MAKE) $(JOBS) --no-print-directory all
	@sh scripts/demo.sh $(BUILD)/sgatlin demo

test: ## set-up and all tests
	@sh scripts/setup.sh
	@$(MAKE) $(JOBS) --no-print-directory WERROR=1 tests
	@sh tests/run.sh $(LINTS) $(TESTS) $(CLI_TESTS) tests/long/test_mutants.sh

# Parts: kills calls cuts full surroundings mutations replay mutants numbers fuzz soak (tests/long/jobs.sh).
.PHONY: test-long fuzz
test-long: ## the tests of a release, in parts that go on where they stopped: PART="kills cuts" (docs/reliability.md; hours)
	@$(MAKE) $(JOBS) --no-print-directory WERROR=1 tests
	@case " $(or $(PART),fuzz) " in *" fuzz "*) $(MAKE) $(JOBS) --no-print-directory VARIANT=fuzz CC='$(FUZZ_CC)' build/fuzz/fuzz ;; esac
	@FUZZ=build/fuzz/fuzz sh tests/long/run.sh $(PART)

# Beside the readers of others, by hand (tests/peers/README.md).
$(BUILD)/tests/peers/%: $(BUILD)/obj/tests/peers/%.o $(BUILD)/libsgatlin.a
	@mkdir -p $(@D); $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $^ $(LDLIBS_ALL) -o $@

SECONDS ?= 60
FUZZ_CC ?= clang-14
FUZZ_TARGETS ?= safetensors config settings state tokenizer reader http recording bundle graph words edit gemm
fuzz: ## each parser with random bytes for SECONDS of one processor (developers; needs clang): FUZZ_TARGETS="http edit"
	@$(MAKE) $(JOBS) --no-print-directory VARIANT=fuzz CC='$(FUZZ_CC)' build/fuzz/fuzz
	@for t in $(FUZZ_TARGETS); do sh tests/fuzz/run.sh build/fuzz/fuzz $$t $(SECONDS) || exit 1; done

bench: $(BUILD)/sgatlin $(BUILD)/tests/http/test_load ## the standard tables of speed: all kinds, where a step's time goes, tokenising, the server (4 minutes)
	@$(BUILD)/sgatlin bench -k all --kernels
	@printf '\nencoding the stories of the built-in corpus, MB/s\n'; sh bench/tokenizer.sh
	@printf '\nthe server under slow clients, refused requests, many small files\n'; LOAD_STRICT=1 $(BUILD)/tests/http/test_load 2>&1 | grep -vE '^\[( RUN|  *OK|=|  PASSED)'
	@echo 'not measured here: PyTorch (bench/compare.py, a Python with torch), decoding of models of 4 GB (bench/decode.sh),' \
	  'growth with each size (bench/sweep.sh), two revisions (bench/ab)'

check: ## the quick tests (a minute on two processors once built)
	@$(MAKE) $(JOBS) --no-print-directory WERROR=1 tests
	@SGATLIN_TEST_QUICK=1 sh tests/run.sh -j $$(($$(nproc) + 1)) $(LINTS) $(FIRST:%=$(BUILD)/tests/%) $(filter-out $(SLOW:%=$(BUILD)/tests/%) $(FIRST:%=$(BUILD)/tests/%),$(TESTS)) tests/cli/test_help.sh tests/cli/test_options.sh

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) $(JOBS) --no-print-directory VARIANT=asan WERROR=1 tests
	@SGATLIN=build/asan/sgatlin TESTS=build/asan/tests OMP_NUM_THREADS=2 sh tests/run.sh $(TESTS:$(BUILD)/%=build/asan/%) $(CLI_TESTS)

# cppcheck is no package of `make deps`: this is for developers.
# Training, reading and the server under ThreadSanitizer. clang's OpenMP tells it what a region orders (archer); oneDNN, which is not
# built with it, is left out. RACED: the tests that run.
TSAN_CC ?= clang-14
ARCHER ?= $(firstword $(wildcard /usr/lib/llvm-*/lib/libarcher.so))
RACED ?= $(HTTP_TEST_SRC:tests/%.c=$(BUILD)/tests/%) $(addprefix $(BUILD)/tests/unit/test_,resume trainer checkpoint corpus run_faults record \
  library_recording neighbors attribute graph exact minimal margin generate clique kinds) tests/cli/test_train.sh tests/cli/test_explore.sh
tsan: ## training, reading and the server under ThreadSanitizer (developers; needs clang and its OpenMP; an hour)
	@$(MAKE) $(JOBS) --no-print-directory VARIANT=tsan CC='$(TSAN_CC)' WERROR=1 tests
	@TSAN_OPTIONS='ignore_noninstrumented_modules=1 die_after_fork=0 exitcode=66' OMP_TOOL_LIBRARIES='$(ARCHER)' OMP_NUM_THREADS=3 SGATLIN=build/tsan/sgatlin \
	  TESTS=build/tsan/tests sh tests/run.sh $(RACED:$(BUILD)/%=build/tsan/%)

.PHONY: analyse tsan tidy
tidy: $(BUILD)/sgatlin ## clang-tidy: faults and CERT's rules (.clang-tidy), each exception with its reason in tools/tidy.txt (developers; a minute)
	@BUILD=$(BUILD) sh tools/tidy.sh

analyse: tidy ## static analysis by clang-tidy and cppcheck, each exception with its reason in tools/ (developers; two minutes)
	@cppcheck $(JOBS) -q --std=c11 --enable=warning,performance,portability --error-exitcode=1 --suppress=missingIncludeSystem \
	  --suppressions-list=tools/cppcheck.txt -Iinclude -Isrc -D_GNU_SOURCE src cli server

# gcovr is no package of `make deps`: this is for developers. COVERED: the tests that count, all by default but the tour, whose commands are
# those of other tests and whose fits take an hour where threads share counters. Of a header that is compiled for each instruction set gcovr
# cannot add up the functions.
COVERED ?= $(TESTS) $(filter-out tests/cli/test_tour.sh,$(CLI_TESTS))
coverage: ## lines and branches of the library that the tests reach (developers; needs gcovr; 25 minutes)
	@$(MAKE) $(JOBS) --no-print-directory VARIANT=coverage tests
	@find build/coverage -name '*.gcda' -delete
	@SGATLIN=build/coverage/sgatlin TESTS=build/coverage/tests OMP_NUM_THREADS=2 sh tests/run.sh $(COVERED:$(BUILD)/%=build/coverage/%) || touch build/coverage/failed
	@gcovr --root . --filter src/ --exclude '.*kernels_digits.h' --object-directory build/coverage --exclude-unreachable-branches --exclude-throw-branches --sort-percentage --print-summary
	@! rm build/coverage/failed 2>/dev/null # a figure is printed all the same

SOAK_MODEL ?= tests/golden/eval/model
SOAK_SECONDS ?= 600
.PHONY: soak
soak: $(BUILD)/sgatlin ## mixed load on the explorer for SOAK_SECONDS (10 minutes), answers against the command's
	@python3 bench/soak.py $(BUILD)/sgatlin $(SOAK_MODEL) --seconds $(SOAK_SECONDS)

.PHONY: tests
# What only a benchmark runs is compiled with the tests, or nobody notices that it no longer is.
tests: all $(TESTS) $(addprefix $(BUILD)/tests/memory/,failing.so driver) $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))

# valgrind is no package of `make deps`: this is for developers.
.PHONY: valgrind
valgrind: $(BUILD)/sgatlin ## what a user does first, under valgrind (developers; needs valgrind; 2 minutes)
	@sh tests/valgrind.sh $(BUILD)/sgatlin

# ---- objects -------------------------------------------------------------------------------------------------
FLAGS_LINE := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS_LINE)' | cmp -s - $@ || echo '$(FLAGS_LINE)' > $@
$(BUILD)/gen/version.h: FORCE
	@mkdir -p $(@D); { echo '#define SGI_VERSION "$(VERSION)"'; echo '#define SGI_COMMIT "$(COMMIT)"'; } > $@.new; \
	 cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@
$(BUILD)/gen/optimizers.h: FORCE
	@mkdir -p $(@D); echo '#define SGI_OPTIMIZERS(X)$(foreach o,$(OPTIMIZERS), X($(o)))' > $@.new; cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@
GEN_HEADERS := $(BUILD)/gen/version.h $(BUILD)/gen/optimizers.h
# The corpus grammar travels inside the library, so that an installed command needs no data directory.
$(BUILD)/gen/embedded.c: tools/embed.sh $(DATA_SRC)
	@mkdir -p $(@D); sh tools/embed.sh data $(DATA_SRC) > $@.new && mv $@.new $@
# The page: TypeScript without a framework, bundled by esbuild, inside the command.
.PHONY: web
web: $(WEB) ## the explorer's page into build/web; its types are checked where make test-web has put the checker
	@[ ! -d web/node_modules ] || { node tools/openapi_types.mjs | cmp - web/src/types.ts && cd web && npx tsc --noEmit -p .; }
$(BUILD)/web/app.js: $(WEB_SRC)
	@mkdir -p $(@D); echo '  WEB $@'; NODE_PATH=$(NODE_MODULES) $(ESBUILD) web/src/app.ts --bundle --minify --target=es2020 --charset=utf8 --log-level=warning --outfile=$@
$(BUILD)/web/%: web/%
	@mkdir -p $(@D); cp $< $@
$(BUILD)/gen/web.c: tools/embed.sh $(WEB)
	@mkdir -p $(@D); sh tools/embed.sh web $(WEB) > $@.new && mv $@.new $@
$(BUILD)/gen/schema.c: tools/embed.sh server/openapi.json
	@mkdir -p $(@D); sh tools/embed.sh schema server/openapi.json > $@.new && mv $@.new $@
$(BUILD)/obj/gen/web.o $(BUILD)/obj/gen/schema.o: CPPFLAGS_ALL += -Iserver
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags
	@mkdir -p $(@D); echo '  CC  $<'; $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(STRICT) -MMD -MP -c $< -o $@
$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(GEN_HEADERS)
	@mkdir -p $(@D); echo '  CC  $<'; $(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(STRICT) -MMD -MP -c $< -o $@

$(BUILD)/libsgatlin.a: $(LIB_OBJ)
	@echo '  AR  $@'; rm -f $@; ar rcs $@ $(LIB_OBJ)
$(BUILD)/libsgatlin.so: $(LIB_OBJ)
	@echo '  LD  $@'; $(CC) -shared -Wl,-soname,libsgatlin.so.0 $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIB_OBJ) $(LDLIBS_ALL) -o $@
$(BUILD)/sgatlin: $(CLI_OBJ) $(SERVER_OBJ) $(BUILD)/libsgatlin.a
	@echo '  LD  $@'; $(CC) $(CFLAGS_ALL) -pie $(LDFLAGS_ALL) $(CLI_OBJ) $(SERVER_OBJ) $(BUILD)/libsgatlin.a -lmicrohttpd $(LDLIBS_ALL) -o $@
$(BUILD)/sgatlin-mpi.so: mpi/ranks_mpi.c mpi/ranks_mpi.h include/sgatlin.h $(BUILD)/flags
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) -shared $(CPPFLAGS_ALL) $(MPI_FLAGS) $(filter-out -fopenmp,$(CFLAGS_ALL)) $(STRICT) $(LDFLAGS_ALL) $< $$($(PKG_CONFIG) --libs ompi-c) -pthread -o $@
# Tests of the server see the server and what it shares with the commands.
$(BUILD)/libcli.a: $(filter-out %/main.o,$(CLI_OBJ))
	@rm -f $@; ar rcs $@ $^
$(HTTP_TEST_SRC:tests/%.c=$(BUILD)/tests/%): $(BUILD)/tests/http/%: $(BUILD)/obj/tests/http/%.o $(HTTP_HELP:%.c=$(BUILD)/obj/%.o) $(REF_OBJ) $(SERVER_OBJ) $(BUILD)/obj/cli/main_inside.o $(BUILD)/libcli.a $(BUILD)/libsgatlin.a
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $^ -lcmocka -lmicrohttpd $(LDLIBS_ALL) -o $@
$(BUILD)/obj/cli/main_inside.o: cli/main.c $(BUILD)/flags | $(GEN_HEADERS)
	@mkdir -p $(@D); echo '  CC  $< (inside)'; $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Dmain=sgatlin_main -Wno-missing-prototypes $(STRICT) -MMD -MP -c $< -o $@
$(FAULT_TEST_SRC:tests/%.c=$(BUILD)/tests/%): $(BUILD)/tests/faults/%: $(BUILD)/obj/tests/faults/%.o $(FAULT_HELP:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/cli/main_inside.o $(SERVER_OBJ) $(BUILD)/libcli.a $(BUILD)/libsgatlin.a
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(FAULT_WRAP) $^ -lmicrohttpd $(LDLIBS_ALL) -o $@
FUZZ_LINK := $(FUZZ_HELP:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/cli/main_inside.o $(SERVER_OBJ) $(BUILD)/libcli.a $(BUILD)/libsgatlin.a
$(FUZZ_TEST_SRC:tests/%.c=$(BUILD)/tests/%): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_LINK)
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $^ -lmicrohttpd $(LDLIBS_ALL) -o $@
$(BUILD)/fuzz: $(BUILD)/obj/tests/fuzz/driver.o $(FUZZ_LINK)
	@echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -fsanitize=fuzzer $^ -lmicrohttpd $(LDLIBS_ALL) -o $@
# A file with one fault in it (tests/long/mutants.sh), in front of the library that has it right.
MUTANT_TESTS := faults/test_cuts faults/test_calls faults/test_kills faults/test_surroundings unit/test_checkpoint
.PHONY: mutant
mutant: $(BUILD)/mutants/$(MUTANT).c $(MUTANT_TESTS:%=$(BUILD)/tests/%)
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -w -c $< -o $(<:.c=.o)
	@for t in $(WITH); do $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(FAULT_WRAP) -Wl,-z,muldefs $(<:.c=.o) $(BUILD)/obj/tests/$$t.o \
	  $$(case $$t in faults/*) echo $(FAULT_HELP:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/cli/main_inside.o $(SERVER_OBJ) $(BUILD)/libcli.a ;; \
	    *) echo $(BUILD)/obj/tests/faults/inside.o $(BUILD)/obj/cli/main_inside.o $(SERVER_OBJ) $(BUILD)/libcli.a $(REF_OBJ) -lcmocka ;; esac) \
	  $(BUILD)/libsgatlin.a -lmicrohttpd $(LDLIBS_ALL) -o $(<:.c=)-$$(basename $$t) || exit 1; done
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(REF_OBJ) $(BUILD)/libsgatlin.a
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $< $(REF_OBJ) $(BUILD)/libsgatlin.a -lcmocka $(LDLIBS_ALL) -o $@
# Every command with an allocation that fails: what makes it fail, and what runs the command and judges it.
$(BUILD)/tests/memory/failing.so: tests/memory/failing.c
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) -std=c11 -O1 -g $(WARN) -Wno-missing-prototypes $(STRICT) -D_GNU_SOURCE -fPIC -shared $< -o $@ -ldl
$(BUILD)/tests/memory/driver: tests/memory/driver.c
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) -std=c11 -O1 -g $(WARN) $(STRICT) -D_GNU_SOURCE $< -o $@
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/libsgatlin.a
	@mkdir -p $(@D); echo '  LD  $@'; $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $< $(BUILD)/libsgatlin.a $(LDLIBS_ALL) -o $@

# For developers: types and a real browser. Needs node, npm and chromium; the page itself needs none of them.
.PHONY: test-web
test-web: all ## the page in Chromium and Firefox: every view, keys, accessibility, numbers (developers; needs npm, chromium)
	@cd web && { [ -d node_modules ] || npm ci --no-audit --no-fund; } && npx tsc --noEmit -p . && npx prettier --check --log-level warn src test
	@node tools/openapi_types.mjs | cmp - web/src/types.ts
	@sh web/test/run.sh $(BUILD)/sgatlin

# ---- install -------------------------------------------------------------------------------------------------
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man/man1
SHARE := $(PREFIX)/share
SONAME := libsgatlin.so.0
# Where each shell looks for completions, and under which name.
BASH_FILE := $(SHARE)/bash-completion/completions/sgatlin
ZSH_FILE := $(SHARE)/zsh/site-functions/_sgatlin
FISH_FILE := $(SHARE)/fish/vendor_completions.d/sgatlin.fish
HERE = "$(DESTDIR)$(1)"

.PHONY: man completion
man: $(BUILD)/man/sgatlin.1 ## man pages into build/man
$(BUILD)/man/sgatlin.1: $(BUILD)/sgatlin
	@rm -rf $(@D); mkdir -p $(@D); $< --dump man $(@D)
completion: $(BUILD)/completion/bash $(BUILD)/completion/zsh $(BUILD)/completion/fish ## shell completions into build/completion
$(BUILD)/completion/%: $(BUILD)/sgatlin
	@mkdir -p $(@D); $< --dump completion $* > $@.new && mv $@.new $@

install: all man completion ## into PREFIX (/usr/local), below DESTDIR
	@install -d $(foreach d,$(BINDIR) $(LIBDIR)/pkgconfig $(PREFIX)/include $(MANDIR),$(call HERE,$(d)))
	@install -m 755 $(BUILD)/sgatlin $(call HERE,$(BINDIR)/sgatlin)
	@[ -z "$(MPI_PART)" ] || install -D -m 755 $(MPI_PART) $(call HERE,$(LIBDIR)/sgatlin/sgatlin-mpi.so)
	@install -m 644 include/sgatlin.h $(call HERE,$(PREFIX)/include/sgatlin.h)
	@install -m 644 $(BUILD)/libsgatlin.a $(call HERE,$(LIBDIR)/libsgatlin.a)
	@install -m 755 $(BUILD)/libsgatlin.so $(call HERE,$(LIBDIR)/libsgatlin.so.$(VERSION))
	@ln -sf libsgatlin.so.$(VERSION) $(call HERE,$(LIBDIR)/$(SONAME)); ln -sf $(SONAME) $(call HERE,$(LIBDIR)/libsgatlin.so)
	@sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|; s|@PRIVATE@|$(LDLIBS_ALL)|' scripts/sgatlin.pc.in \
	   > $(call HERE,$(LIBDIR)/pkgconfig/sgatlin.pc)
	@install -m 644 $(BUILD)/man/*.1 $(call HERE,$(MANDIR)/)
	@install -D -m 644 $(BUILD)/completion/bash $(call HERE,$(BASH_FILE))
	@install -D -m 644 $(BUILD)/completion/zsh $(call HERE,$(ZSH_FILE))
	@install -D -m 644 $(BUILD)/completion/fish $(call HERE,$(FISH_FILE))
	@if [ -z "$(DESTDIR)" ]; then ldconfig 2>/dev/null || true; fi
	@echo "installed sgatlin $(VERSION) into $(DESTDIR)$(PREFIX)"

uninstall: ## removes what install put there
	@rm -f $(call HERE,$(LIBDIR)/sgatlin/sgatlin-mpi.so) $(call HERE,$(BINDIR)/sgatlin) $(call HERE,$(PREFIX)/include/sgatlin.h) $(call HERE,$(LIBDIR)/libsgatlin.a) \
	  $(call HERE,$(LIBDIR)/libsgatlin.so) $(call HERE,$(LIBDIR)/$(SONAME)) $(call HERE,$(LIBDIR)/libsgatlin.so.$(VERSION)) \
	  $(call HERE,$(LIBDIR)/pkgconfig/sgatlin.pc) $(call HERE,$(MANDIR))/sgatlin.1 $(call HERE,$(MANDIR))/sgatlin-*.1 \
	  $(call HERE,$(BASH_FILE)) $(call HERE,$(ZSH_FILE)) $(call HERE,$(FISH_FILE))

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(SERVER_OBJ:.o=.d) $(HTTP_TEST_SRC:%.c=$(BUILD)/obj/%.d) $(FAULT_TEST_SRC:%.c=$(BUILD)/obj/%.d) $(FAULT_HELP:%.c=$(BUILD)/obj/%.d) $(FUZZ_TEST_SRC:%.c=$(BUILD)/obj/%.d) $(FUZZ_HELP:%.c=$(BUILD)/obj/%.d) $(BUILD)/obj/cli/main_inside.d $(REF_OBJ:.o=.d) $(TEST_SRC:%.c=$(BUILD)/obj/%.d)
