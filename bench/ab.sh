#!/bin/sh
# ab.sh [OPTION]... REV REV [BENCH-OPTION]...: two builds of the command, their `sgatlin bench` alternated.
#
#   -k, --kind KIND    feedforward layer (sgatlin); may be given many times
#   -n, --pairs N      pairs of runs (7)
#   -h, --help         this text
#
# A revision "." is the working tree as it is. BENCH-OPTIONs go to `sgatlin bench` as they are. Printed for each kind: medians of both,
# and second / first pair by pair: median, least, most. Builds go to a temporary folder and away again; the working tree's to build/.
#
#   sh bench/ab.sh HEAD~20 HEAD                                    # both threads, a quiet machine
#   sh bench/ab.sh -k mlp -k peer HEAD . -t 1 --cpu-time           # a busy machine: one thread, processor time
#   sh bench/ab.sh -n 5 HEAD~1 HEAD --forward-only --set feedforward.num_neurons=65536
set -eu
help() { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p}' "$0"; }
kinds= pairs=7
while [ $# -gt 0 ]; do
  case $1 in
    -k | --kind | -n | --pairs) [ $# -gt 1 ] || { echo "ab.sh: $1 needs a value" >&2; exit 2; } ;;
  esac
  case $1 in
    -h | --help) help; exit 0 ;;
    -k | --kind) kinds="$kinds -k $2"; shift 2 ;;
    -n | --pairs) pairs=$2; shift 2 ;;
    -*) echo "ab.sh: unknown option $1 (options of the bench follow the revisions)" >&2; exit 2 ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || { help >&2; exit 2; }
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
for rev in "$1" "$2"; do
  [ "$rev" = . ] || git -C "$root" rev-parse --quiet --verify "$rev^{commit}" >/dev/null || { echo "ab.sh: no revision $rev" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'for d in "$work"/tree*; do [ -d "$d" ] && git -C "$root" worktree remove --force "$d"; done; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
one() { # NUMBER REV: a built command at $work/NUMBER
  tree=$root
  if [ "$2" != . ]; then
    tree=$work/tree$1
    git -C "$root" worktree add --quiet --detach "$tree" "$2"
  fi
  echo "building $2" >&2
  make -C "$tree" -j2 build/sgatlin >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
  cp "$tree/build/sgatlin" "$work/$1"
}
one 1 "$1"
one 2 "$2"
shift 2
python3 - "$work" "$pairs" $kinds "$@" <<'PY'
import json, statistics, subprocess, sys
work, pairs, options = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
def once(which):
    out = subprocess.run([f"{work}/{which}", "bench", "--json", "--rounds", "3", "-q", *options], stdout=subprocess.PIPE)
    if out.returncode:
        sys.exit(f"ab.sh: the {'first' if which == 1 else 'second'} build's bench failed")
    return json.loads(out.stdout)
rows = []
for i in range(pairs):
    rows.append((once(1), once(2)))
    print(f"\rpair {i + 1} of {pairs}", end="", file=sys.stderr)
print(file=sys.stderr)
print(f"{'':31s} {'first':>10s} {'second':>10s}   second / first")
for k, one in enumerate(rows[0][0]):
    for key in ("train_tokens_per_s", "forward_tokens_per_s", "decode_tokens_per_s", "gemm_gflops"):
        a, b = ([r[i][k].get(key) for r in rows] for i in (0, 1))
        if None in a + b:
            continue
        ratio = [y / x for x, y in zip(a, b)]
        print(f"{one['kind']:8s} {key:22s} {statistics.median(a):10.0f} {statistics.median(b):10.0f}   {statistics.median(ratio):.3f} "
              f"({min(ratio):.3f} to {max(ratio):.3f})")
PY
