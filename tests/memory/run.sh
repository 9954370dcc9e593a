#!/bin/sh
# run.sh [-n SAMPLES] [-l LASTING] [-p PART/PARTS] [PATTERN]: every command of commands.txt (those that hold PATTERN), each with one of
# SAMPLES allocations failing (0: with every one, each in its turn), and with all failing from one of LASTING places on.
# PART/PARTS runs every PARTSth line only, from PART on. From the repository's root; SGATLIN=path tests another build.
set -u
samples=12 lasting=3 part=1 parts=1
while getopts n:l:p: option; do
  case $option in
    n) samples=$OPTARG ;;
    l) lasting=$OPTARG ;;
    p) part=${OPTARG%/*} parts=${OPTARG#*/} ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
pattern=${1-}
root=$PWD
sg=${SGATLIN:-build/sgatlin}
case $sg in /*) ;; *) sg=$root/$sg ;; esac
tools=${MEMORY_TOOLS:-$root/build/tests/memory}
case $tools in /*) ;; *) tools=$root/$tools ;; esac
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
work=$(mktemp -d) || exit 1
export OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive XDG_CACHE_HOME="$work.cache"
trap 'rm -rf "$work" "$work.cache" "$work.out"' EXIT
for name in $(env | sed -n 's/^\(SGATLIN_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done

. tests/memory/folder.sh

failed=0 number=0
# shellcheck disable=SC2086
try() { # OPTIONS COMMAND
  set -f
  "$tools/driver" $1 "$tools/failing.so" "$sg" $2 >"$work.out" 2>&1
  code=$?
  set +f
  [ $code = 0 ] && { [ -z "${VERBOSE-}" ] || echo "$2: $(tail -n 1 "$work.out")"; return; }
  failed=$((failed + 1))
  echo "FAIL $2"
  cat "$work.out"
}
while IFS='|' read -r options command; do
  case $options in \#*) continue ;; esac
  case $command in *"$pattern"*) ;; *) continue ;; esac
  number=$((number + 1))
  [ $(((number - part) % parts)) = 0 ] || continue
  command=$(echo "${command# }" | sed "s|SMALLBENCH|$(echo $bench)|; s|SMALL|$(echo $sizes)|")
  try "-n $samples ${options% }" "$command"
  [ "$lasting" = 0 ] || try "-n $lasting -l ${options% }" "$command"
done <"$root/tests/memory/commands.txt"
[ "$failed" = 0 ] && [ "$number" -gt 0 ]
