#!/bin/sh
# Every command with an allocation that fails, at a few places of each: tests/memory/run.sh; `sh tests/long/memory.sh` tries them all.
. tests/cli/common.sh
MEMORY_TOOLS=${TESTS:-build/tests}/memory SGATLIN=$SGATLIN sh tests/memory/run.sh -n 4 -l 1 || bad "a failed allocation is not told"
finish
