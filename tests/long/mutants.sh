#!/bin/sh
# mutants.sh [COUNT]: does the suite see it where the code that makes files durable is wrong? Each mutant is one line of it made wrong;
# the tests named behind it have to fail. A mutant that no test sees is a hole in the tests. Without COUNT all of them; 4 in make test.
set -u
cd "$(dirname "$0")/../.."
count=${1:-99}
dir=build/mutants
mkdir -p "$dir"
export OMP_WAIT_POLICY=passive FAULTS_ONLY=train
# name | file | sed expression | tests that are asked, in turn
list='
no fsync of a file|src/core/file.c|s/sgi_call_fsync(w->fd) < 0/0/|cuts
no fsync of the directory behind a rename|src/core/file.c|/^sg_status sgi_rename/,/^}/s/return sync_parent(to, err)/return SG_OK/|cuts
a checkpoint whose hash is another|src/core/manifest.c|s/strcmp(hex, want)/0/|checkpoint
the second moment is not restored|src/train/checkpoint.c|/^static sg_status load_optimizer/,/^}/s/p < parts(t)/p < 1/|checkpoint
no fsync of the directory of a new file|src/core/file.c|s/st = sync_parent(w->real, err)/st = SG_OK/|cuts
a short write is taken for a whole one|src/core/file.c|s/n -= (size_t)k;/n = 0;/|checkpoint calls
a write that fails is passed over|src/core/file.c|s/return sgi_fail_file(err, path, "could not write");/return SG_OK;/|checkpoint calls
a rename that fails is passed over|src/core/file.c|s/sgi_call_rename(w->temporary, w->real) < 0/(sgi_call_rename(w->temporary, w->real), 0)/|checkpoint calls
a temporary stays after a failure|src/core/file.c|/^sg_status sgi_writer_close/,/^}/s/remove_temporary(w);/;/|calls
an interrupted fsync is not made again|src/core/calls.c|/^int sgi_call_fsync/,/^}/s/while (r < 0 \&\& errno == EINTR);/while (0);/|checkpoint calls
a new directory is not made durable|src/core/file.c|/^sg_status sgi_make_directory/,/^}/s/st = sync_parent(part, err)/st = SG_OK/|cuts
a directory without a manifest is whole|src/core/manifest.c|/^sg_status sgi_manifest_verify/,/^}/s/^  sg_status st = sgi_is_file(path)/  if (!sgi_is_file(path)) return SG_OK; &/|checkpoint
the newest checkpoint is not verified|src/core/bundle.c|s/sg_status verdict = path ? [a-z_]*([^;]*;/sg_status verdict = SG_OK;/|checkpoint
the oldest is taken for the newest|src/core/bundle.c|/^static int newest_first/,/^}/s/return n != m ? (n < m ? 1 : -1) : strcmp(y, x);/return strcmp(x, y);/|cuts checkpoint
what a killed process left stays|src/core/bundle.c|s/  if (!st) st = remove_leftovers(parent, err);//|kills
an old checkpoint loses files under its name|src/core/bundle.c|s/path ? remove_whole(path, err)/path ? sgi_remove_tree(path, err)/|cuts
two trainers on one directory|src/core/bundle.c|s/flock(fd, LOCK_EX . LOCK_NB) < 0/0/|surroundings
the first moment is not restored|src/train/checkpoint.c|/^static sg_status load_optimizer/,/^}/s/for (size_t p = 0; p < parts/for (size_t p = 1; p < parts/|checkpoint
the step is not restored|src/train/checkpoint.c|s/t->steps = state->step;/;/|checkpoint
weights are not restored|src/train/checkpoint.c|s/sgi_weight_to_float(t->model->arena + table->rows\[i\].offset, .*/;/|checkpoint
'
killed=0 lived=0 n=0 right=' '
passes() { # passes PROGRAM TEST
  case $2 in
    cuts) timeout 300 "$1" 100 1 0 ;;
    calls) timeout 300 "$1" 60 ;;
    kills) timeout 300 "$1" 40 ;;
    surroundings) timeout 300 "$1" 0.1 ;;
    *) timeout 300 "$1" ;;
  esac
}
ask() { # ask MUTANT TEST: true where the test fails, that passes without the mutant
  case $right in
    *" $2 "*) ;;
    *)
      of=faults
      [ "$2" = checkpoint ] && of=unit
      passes "build/tests/$of/test_$2" "$2" >"$dir/right-$2.log" 2>&1 || { echo "FAIL  test_$2 fails without a mutant"; exit 1; }
      right="$right$2 "
      ;;
  esac
  ! passes "$dir/$1-test_$2" "$2" >"$dir/$1-$2.log" 2>&1
}
IFS='
'
for line in $list; do
  n=$((n + 1))
  name=$(echo "$line" | cut -d'|' -f1) file=$(echo "$line" | cut -d'|' -f2) change=$(echo "$line" | cut -d'|' -f3) tests=$(echo "$line" | cut -d'|' -f4)
  sed "$change" "$file" >"$dir/$n.c"
  if cmp -s "$file" "$dir/$n.c"; then
    echo "FAIL  mutant \"$name\": its line is no longer in $file"
    lived=$((lived + 1))
    continue
  fi
  [ $n -le "$count" ] || continue # its line is there
  with=$(echo "$tests" | tr ' ' '\n' | sed 's/^checkpoint$/unit\/test_checkpoint/; t; s/^/faults\/test_/' | tr '\n' ' ')
  if ! make --no-print-directory mutant MUTANT=$n WITH="$with" >"$dir/$n.log" 2>&1; then
    echo "FAIL  mutant \"$name\" does not build"
    tail -n 5 "$dir/$n.log"
    lived=$((lived + 1))
    continue
  fi
  by=
  IFS=' '
  for t in $tests; do ask $n "$t" && { by=$t; break; }; done
  IFS='
'
  if [ -n "$by" ]; then
    killed=$((killed + 1))
    echo "killed by test_$by: $name"
  else
    lived=$((lived + 1))
    echo "FAIL  no test sees it: $name ($tests)"
  fi
  rm -f "$dir/$n"-test_*
done
echo "mutants: $((killed + lived)), $lived failed"
[ $lived = 0 ]
