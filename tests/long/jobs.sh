#!/bin/sh
# jobs.sh PART JOBS: the commands of one part of the long tests, one a line, shared among JOBS processors. Sizes are those of a release;
# SCALE=20 makes a twentieth of them, to see whether a part works.
set -eu
part=$1 jobs=$2
T=${TESTS:-build/tests} S=${SCALE:-1}
R=${RUN:+$RUN }
share() { echo $((($1 / S + jobs - 1) / jobs)); }
each() { # each COMMAND: with "I JOBS" behind it
  i=0
  while [ $i -lt "$jobs" ]; do
    echo "$R$* $i $jobs"
    i=$((i + 1))
  done
}
seeded() { # seeded COMMAND COUNT [MORE]: a seed of its own for each
  i=1
  command=$1 count=$2
  shift 2
  while [ $i -le "$jobs" ]; do
    echo "$R$command $count $i $*"
    i=$((i + 1))
  done
}
case $part in
  kills) seeded $T/faults/test_kills "$(share 2000)" ;;
  calls) each $T/faults/test_calls $((S > 1 ? 2 : 0)) ;;
  cuts) seeded $T/faults/test_cuts "$(share 10000)" "$(share 200)" ;;
  full) each $T/faults/test_full $((200 / S)) ;;
  surroundings) echo "$R$T/faults/test_surroundings $((60 / S))" ;;
  mutations) each $T/fuzz/test_mutations "$S" ;;
  replay) echo "$R$T/fuzz/test_replay" ;;
  numbers) echo "$R$T/unit/test_numbers 1000" ;;
  mutants) echo "sh tests/long/mutants.sh $((20 / S > 4 ? 20 / S : 4))" ;;
  soak) echo "python3 bench/soak.py build/sgatlin tests/golden/eval/model --seconds $((7200 / S)) --pause ${SOAK_PAUSE:-0.05}" ;;
  fuzz) # an hour in all: each target has its share, and a seed for each processor beyond the first thirteen
    for t in safetensors config settings state tokenizer reader http recording bundle graph words edit gemm; do
      seconds=$((3600 / 13 / S))
      pieces=$((jobs > 13 ? 4 : 1))
      i=1
      while [ $i -le $pieces ]; do
        echo "sh tests/fuzz/run.sh ${FUZZ:-build/fuzz/fuzz} $t $((seconds / pieces)) $i"
        i=$((i + 1))
      done
    done ;;
  *) echo "jobs.sh: no part $part" >&2; exit 2 ;;
esac
