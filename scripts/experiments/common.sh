# shellcheck shell=sh disable=SC2034,SC2154
# common.sh: what experiments of many small runs share, read once $sgatlin and $out are set: a quiet command, the built-in corpus, a run that is
# begun or gone on with, its held-out loss, the best of some rates. Whatever is there is kept: a file has its name once it is whole.
#
#   THREADS=1 NICE=10
sg() { nice -n "${NICE:-10}" "$sgatlin" -q -t "${THREADS:-1}" "$@"; }

# value KEY FILE: the first number of that key.
value() { sed -n "s/.*\"$1\":\([-0-9.e+]*\).*/\1/p" "$2" | head -n 1; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

# corpus STORIES VOCABULARY: $data and $tokenizer.
corpus() {
  mkdir -p "$out"
  data="$out/worlds" tokenizer="$out/tokenizer.json"
  [ -f "$data/valid.txt" ] && [ -f "$data/facts.json" ] || sg data worlds --stories "$1" --seed 1 -o "$data"
  [ -f "$tokenizer" ] || sg tokenizer train -n "$2" "$data/train.txt" -o "$tokenizer"
}

# trained RUN OPTION...: to its end.
trained() {
  run_of=$1
  shift
  [ ! -f "$run_of.trained" ] || return 0
  if [ -d "$run_of/checkpoints" ]; then
    sg train --resume -o "$run_of"
  else
    rm -rf "$run_of"
    sg train --data "$data" --tokenizer "$tokenizer" -o "$run_of" --set schedule.warmup_steps=20 --set eval.every=0 "$@"
  fi
  : >"$run_of.trained"
}

# judged RUN OPTION...: RUN.json is what `eval` says on the held-out text.
judged() {
  run_of=$1
  shift
  [ -s "$run_of.json" ] || { sg eval "$run_of" --data "$data/valid.txt" --json "$@" >"$run_of.new" && mv "$run_of.new" "$run_of.json"; }
}

# best_rate NAME SEARCH ARGUMENT...: into OUT/NAME.rate the one of $rates whose run, made and judged by SEARCH RATE RUN ARGUMENT..., has the least loss.
# Names are of this function alone: SEARCH has the script's.
best_rate() {
  best_name=$1 best_search=$2 best_loss='' best=''
  shift 2
  [ ! -s "$out/$best_name.rate" ] || return 0
  for best_try in $rates; do
    "$best_search" "$best_try" "$out/search.$best_name.$best_try" "$@"
    best_last=$(value loss "$out/search.$best_name.$best_try.json")
    if [ -z "$best" ] || less "$best_last" "$best_loss"; then best_loss=$best_last best=$best_try; fi
  done
  case "$best" in
    "${rates%% *}" | "${rates##* }") echo "$best_name: its best rate, $best, is the first or last that was tried (RATES)" >&2 ;;
  esac
  echo "$best" >"$out/$best_name.rate"
}
