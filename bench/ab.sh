#!/bin/sh
# ab.sh REV REV [BENCH-OPTION]...: builds two revisions side by side and alternates `sgatlin bench` between them.
# A revision "." is the working tree as it is. AB_ROUNDS sets the number of pairs (7). Prints tokens/s of both and the
# ratio second / first pair by pair: medians, least and most.
set -eu
[ $# -ge 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'for d in "$work"/tree*; do [ -d "$d" ] && git -C "$root" worktree remove --force "$d"; done; rm -rf "$work"' EXIT
one() { # NUMBER REV: a built command at $work/NUMBER
  if [ "$2" = . ]; then
    make -C "$root" -j2 build/sgatlin >&2
    cp "$root/build/sgatlin" "$work/$1"
  else
    git -C "$root" worktree add --quiet --detach "$work/tree$1" "$2"
    make -C "$work/tree$1" -j2 build/sgatlin >&2
    cp "$work/tree$1/build/sgatlin" "$work/$1"
  fi
}
one 1 "$1"
one 2 "$2"
shift 2
python3 - "$work" "${AB_ROUNDS:-7}" "$@" <<'PY'
import json, statistics, subprocess, sys
work, pairs, options = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
def once(which):
    out = subprocess.run([f"{work}/{which}", "bench", "--json", "--rounds", "3", "-q", *options], check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)[0]
rows = [(once(1), once(2)) for _ in range(pairs)]
for key in ("train_tokens_per_s", "forward_tokens_per_s", "gemm_gflops"):
    a, b = ([r[i][key] for r in rows] for i in (0, 1))
    if None in a + b:
        continue
    ratio = [y / x for x, y in zip(a, b)]
    print(f"{key:22s} {statistics.median(a):10.0f} {statistics.median(b):10.0f}   ratio {statistics.median(ratio):.3f} "
          f"({min(ratio):.3f} to {max(ratio):.3f})")
PY
