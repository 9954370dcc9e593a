#!/bin/sh
# Attention, router and losses have tiles of other shapes on each instruction set: their tests, on those that are not the default.
. tests/cli/common.sh

tests=${TESTS:-build/tests}
for isa in generic avx2; do
  SGATLIN_ISA=$isa "$SGATLIN" version >/dev/null 2>&1 || continue # not on this processor
  for test in grad/test_ops grad/test_ffn golden/test_models; do
    [ -x "$tests/$test" ] || { bad "$tests/$test is not built"; continue; }
    SGATLIN_ISA=$isa "$tests/$test" >"$tmp/out" 2>&1 || { bad "$test fails with SGATLIN_ISA=$isa"; tail -n 5 "$tmp/out" | sed 's/^/    /'; }
  done
done
# Products in bf16 by the processor's own instructions, where they are not the usual way.
if SGATLIN_BF16=native "$SGATLIN" version >/dev/null 2>&1; then
  for test in unit/test_bf16 golden/test_bf16; do
    SGATLIN_BF16=native "$tests/$test" >"$tmp/out" 2>&1 || { bad "$test fails with SGATLIN_BF16=native"; tail -n 5 "$tmp/out" | sed 's/^/    /'; }
  done
fi
finish
