#!/bin/sh
# memory.sh [PART/PARTS]: every allocation of every command fails in its turn, up to 4,000 places of each, and 200 from which all fail.
# Some 4 hours on one core; 1/8 to 8/8 are parts that stand alone. SAMPLES and LASTING set other numbers (0: every place).
cd "$(dirname "$0")/../.." || exit 1
start=$(date +%s)
VERBOSE=1 sh tests/memory/run.sh -n "${SAMPLES-4000}" -l "${LASTING-200}" -p "${1-1/1}"
code=$?
echo "memory ${1-1/1}: exit $code after $(($(date +%s) - start)) s"
exit $code
