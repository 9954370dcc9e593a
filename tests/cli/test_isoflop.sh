#!/bin/sh
# isoflop and sweep: a small study whole; stopped, killed and gone on with; from a plan; collected from two copies; what it refuses.
. tests/cli/common.sh
W="$tmp/worlds"
"$SGATLIN" -q data worlds --stories 100 --seed 1 -o "$W"
"$SGATLIN" -q tokenizer train -n 300 "$W/train.txt" -o "$tmp/tok.json"
ask="--data $W --tokenizer $tmp/tok.json --kinds sgatlin,mlp --budgets 2e8,4e8 --scales ladder;32x1,ladder;32x2 --seeds 2
  --set train.batch_size=8 --set train.seq_len=32 --set schedule.warmup_steps=2 --set checkpoint.every=5 --vary optimizer.learning_rate=1e-3,4e-3"

# All of it at once.
try 0 -q -t 2 isoflop $ask -o "$tmp/whole" --json
cp "$tmp/out" "$tmp/whole.json"
for k in '"left":0' '"best_settings":' '"parabola":' '"by":"flops"' '"resampled_rows":0' '"train_optima":[{' '"no_factors":'; do has out "$k"; done
has err "first or last that was tried"
[ "$(ls "$tmp/whole/runs" | wc -l)" = 20 ] || bad "4 runs of sweeps and 16 others expected"
[ "$(wc -l <"$tmp/whole/runs.csv")" = 21 ] || bad "a line a run in runs.csv"
[ "$(grep -o '<circle' "$tmp/whole/isoflop.svg" | wc -l)" = 16 ] || bad "a circle a run in isoflop.svg"
[ "$(grep -o '<circle' "$tmp/whole/isoflop-train.svg" | wc -l)" = 16 ] || bad "a circle a run in isoflop-train.svg"
# Each run is an ordinary one, of as many steps as the budget pays for.
try 0 eval "$tmp/whole/runs/mlp-ladder-32x1-2e-08-s1" --data "$W/valid.txt" --max-rows 4
try 0 flops -p 'ladder;32x1' -k mlp -b 2e8 --json
steps=$(sed -n 's/.*"steps": *\([0-9]*\).*/\1/p' "$tmp/whole/runs/mlp-ladder-32x1-2e-08-s1/result.json")
per=$("$SGATLIN" train --data "$W" --tokenizer "$tmp/tok.json" --preset 'ladder;32x1' --kind mlp --set train.batch_size=8 --set train.seq_len=32 \
  --set train.flops_budget=2e8 --set schedule.warmup_steps=2 --dry-run --json -q | sed 's/.*"steps":\([0-9]*\).*/\1/')
[ "$steps" = "$per" ] || bad "$steps steps, train --dry-run says $per"
# The table prints the same losses, and again from what is there.
try 0 isoflop -o "$tmp/whole"
has out "best settings of mlp: optimizer.learning_rate="; has out "against"; has out "of the held-out text, drawn anew"
# A result that was taken away is made again from the finished run, by evaluation alone: the same bytes.
cp -r "$tmp/whole" "$tmp/judged"
rm "$tmp/judged/runs"/mlp-*/result.json
try 0 -q isoflop -o "$tmp/judged" --json
for r in "$tmp/whole/runs"/*; do same "$r/result.json" "$tmp/judged/runs/$(basename "$r")/result.json"; done
same "$tmp/whole/results.json" "$tmp/judged/results.json"
# Half of the results by rows, as older versions have them: seeds alone are drawn, and that is said.
sed -i 's/"document_/"row_/' "$tmp/judged/runs"/mlp-*/result.json
try 0 isoflop -o "$tmp/judged"; has out "intervals: seeds alone"
sed -i 's/"document_/"row_/' "$tmp/judged/runs"/*/result.json
try 0 isoflop -o "$tmp/judged"; has out "results of an older version"
loss=$(sed -n 's/.*"valid_loss": *\([0-9.]\{6\}\).*/\1/p' "$tmp/whole/runs/mlp-ladder-32x1-2e-08-s1/result.json")
grep mlp-ladder-32x1-2e-08-s1 "$tmp/out" | grep -q "${loss%?}" || bad "the table has not the loss $loss of result.json"

# Times are those of the runs, until steps are timed anew: then all are steps x that, and what the runs took stands beside.
has_time() { grep -q "$1" "$tmp/whole/costs.svg" || bad "costs.svg does not say: $1"; }
has_time "time, as the runs took"
grep -q 'seconds_by$' "$tmp/whole/runs.csv" && grep -q ',runs$' "$tmp/whole/runs.csv" || bad "runs.csv does not say whose seconds"
cp "$tmp/whole/results.json" "$tmp/as-run.json"
try 0 -q -t 1 isoflop -o "$tmp/whole" --retime --rounds 3
has out "times: steps timed anew on"; has out "1 thread, "; has out "cpu_seconds"
has_time "time, steps timed anew"; has_time "seconds with 1 thread"
grep -q ',timings$' "$tmp/whole/runs.csv" || bad "runs.csv does not say whose seconds"
[ ! -e "$tmp/whole/timings.part.json" ] || bad "timings.part.json is left"
python3 - "$tmp/whole" "$tmp/as-run.json" <<'PY' || bad "results by timings.json"
import json, statistics, sys
new, old, t = json.load(open(sys.argv[1] + "/results.json")), json.load(open(sys.argv[2])), json.load(open(sys.argv[1] + "/timings.json"))
step = {(f["kind"], f["scale"]): f for f in t["forms"]}
assert len(step) == len(t["forms"]) == 4
for f in t["forms"]:
    assert f["seconds"] == statistics.median(f["seconds_of_rounds"]) and len(f["seconds_of_rounds"]) == 3
for a, b in zip(new["runs"], old["runs"]):
    assert a["name"] == b["name"] and a["run_seconds"] == b["seconds"] == b["run_seconds"] and "cpu_seconds" not in b
    if a["sweep"]:
        assert a["seconds"] is None and a["cpu_seconds"] is None
    else:
        assert abs(a["seconds"] / (a["steps"] * step[a["kind"], a["scale"]]["seconds"]) - 1) < 1e-9
by = lambda d, what: [f for f in d["factors"] if f["by"] == what]
assert by(new, "flops") == by(old, "flops") and by(new, "memory_bytes") == by(old, "memory_bytes")
assert len(by(new, "cpu_seconds")) == len(by(new, "seconds")) > 0 and not by(old, "cpu_seconds")
PY
# Killed in the middle and gone on with: what was timed is kept; the file that is there stays until another is whole.
cp "$tmp/whole/timings.json" "$tmp/timings.json"
timeout -s KILL 1.5 "$SGATLIN" -q -t 1 isoflop -o "$tmp/whole" --retime --rounds 900 >/dev/null 2>&1
same "$tmp/timings.json" "$tmp/whole/timings.json"
[ -e "$tmp/whole/timings.part.json" ] || bad "nothing is kept of what was timed"
# --foreground: without it timeout sends a second SIGINT, to the group, which ends the command at once.
timeout --foreground -s INT 1.5 "$SGATLIN" -t 1 isoflop -o "$tmp/whole" --retime --rounds 900 >/dev/null 2>"$tmp/err"
has err "--retime"; same "$tmp/timings.json" "$tmp/whole/timings.json"
try 0 -q -t 1 isoflop -o "$tmp/whole" --retime --rounds 1 --json
has out '"by":"timings"'
# A file that is none is refused; without some of the study's own forms none are used.
sed 's/"threads": 1/"threads": 0/' "$tmp/timings.json" >"$tmp/whole/timings.json"
try 3 isoflop -o "$tmp/whole"; has err "timings.json"; has err "threads"
sed 's/"scale": "ladder;32x1"/"scale": "ladder;32x9"/' "$tmp/timings.json" >"$tmp/whole/timings.json"
try 0 isoflop -o "$tmp/whole"; has err "has no time of run"; has out "times: as the runs took"
rm "$tmp/whole/timings.json"
try 0 -q isoflop -o "$tmp/whole" --json
same "$tmp/as-run.json" "$tmp/whole/results.json"
for o in --plan=- --dry-run --run=x; do try 2 isoflop -o "$tmp/whole" --retime $o; has err "do not go together"; done
try 2 isoflop -o "$tmp/whole" --rounds 3; has err "belongs to --retime"

# What depends neither on the clock nor on the threads: losses, and the bytes of every model.
untimed() { sed 's/"\(seconds\|memory_bytes\)": *[0-9.e-]*//g' "$1"; }
same_study() {
  for r in "$tmp/whole/runs"/*; do
    n=$(basename "$r")
    untimed "$r/result.json" >"$tmp/a"
    untimed "$1/runs/$n/result.json" >"$tmp/b"
    same "$tmp/a" "$tmp/b"
    [ -z "${2:-}" ] || continue
    same "$r/checkpoints/$(cat "$r/checkpoints/latest")/model.safetensors" "$1/runs/$n/checkpoints/$(cat "$r/checkpoints/latest")/model.safetensors"
  done
  cut -d, -f1-10,13-16 "$tmp/whole/runs.csv" >"$tmp/a"
  cut -d, -f1-10,13-16 "$1/runs.csv" >"$tmp/b"
  same "$tmp/a" "$tmp/b"
}
# Killed again and again, stopped in order, then to the end with one thread.
i=0
while [ $i -lt 6 ]; do
  "$SGATLIN" -q -t 2 isoflop $ask -o "$tmp/cut" >/dev/null 2>"$tmp/err" &
  p=$!
  sleep 0.$((3 + i))
  [ $i = 5 ] && kill -TERM $p || kill -9 $p
  wait $p
  i=$((i + 1))
done 2>/dev/null
try 0 -q -t 1 isoflop -o "$tmp/cut" --json
same_study "$tmp/cut"

# Two copies do half of it each, from the plan; then one takes the other's.
try 0 -q isoflop $ask -o "$tmp/a-half" --plan "$tmp/plan"
[ "$(wc -l <"$tmp/plan")" = 4 ] || bad "the plan of the sweep has 4 lines"
for r in $(sed 's/.*--run //' "$tmp/plan"); do try 0 -q isoflop -o "$tmp/a-half" --run "$r"; done
cp -r "$tmp/a-half" "$tmp/b-half"
try 0 -q isoflop -o "$tmp/a-half" --plan -
cp "$tmp/out" "$tmp/plan"
[ "$(wc -l <"$tmp/plan")" = 16 ] || bad "the plan has 16 lines"
i=0
for r in $(sed 's/.*--run //' "$tmp/plan"); do
  i=$((i + 1))
  try 0 -q isoflop -o "$tmp/$([ $((i % 2)) = 0 ] && echo a || echo b)-half" --run "$r"
done
try 0 isoflop -o "$tmp/a-half" --collect "$tmp/b-half"
has err "8 results taken"
same_study "$tmp/a-half" collected
try 0 isoflop -o "$tmp/a-half" --collect "$tmp/b-half"; has err "0 results taken"

mkdir "$tmp/cut2"
sed 's/train.seq_len=32/train.seq_len=16/' "$tmp/cut/study.json" >"$tmp/cut2/study.json"
cp "$tmp/cut/tokenizer.json" "$tmp/cut2"
try 2 isoflop -o "$tmp/a-half" --collect "$tmp/cut2"; has err "only a copy of the same study"
try 1 isoflop -o "$tmp/a-half" --collect "$tmp/nothing"; has err "holds no study"
# Of a collected run without its result nothing is left here: not a run to go on with.
one=$(ls "$tmp/a-half/runs" | while read -r n; do [ -e "$tmp/a-half/runs/$n/tokenizer.json" ] || echo "$n"; done | head -n 1)
cp -r "$tmp/a-half" "$tmp/poor"
rm "$tmp/poor/runs/$one/result.json"
try 3 isoflop -o "$tmp/poor"; has err "$one: was collected"
try 0 isoflop -o "$tmp/poor" --collect "$tmp/b-half"; has err "1 result taken"
try 0 -q isoflop -o "$tmp/poor" --json; has out '"left":0'

# Two copies on texts that differ in the held-out half, document for document: a result says which text it is of.
mkdir "$tmp/worlds2"
cp "$W/train.txt" "$tmp/worlds2"
sed 's/ the / teh /g' "$W/valid.txt" >"$tmp/worlds2/valid.txt"
two="--tokenizer $tmp/tok.json --kinds mlp --budgets 2e8,4e8 --scales ladder;32x1 --seeds 1 --set train.batch_size=8 --set train.seq_len=32"
try 0 -q isoflop --data "$W" $two -o "$tmp/here" --run mlp-ladder-32x1-2e-08-s1
try 0 -q isoflop --data "$tmp/worlds2" $two -o "$tmp/there" --run mlp-ladder-32x1-4e-08-s1
cp -r "$tmp/here" "$tmp/mixed"
try 2 isoflop -o "$tmp/here" --collect "$tmp/there"
has err "there: its run mlp-ladder-32x1-4e-08-s1 is of another held-out text than run mlp-ladder-32x1-2e-08-s1"
[ "$(ls "$tmp/here/runs")" = mlp-ladder-32x1-2e-08-s1 ] || bad "something was taken"
cp -r "$tmp/there/runs/mlp-ladder-32x1-4e-08-s1" "$tmp/mixed/runs"
try 3 isoflop -o "$tmp/mixed"; has err "mlp-ladder-32x1-4e-08-s1/result.json"; has err "another held-out text than the result of run mlp-ladder-32x1-2e-08-s1"
# A text that changes under a study: refused before the next run, and nothing is lost.
sed "s,$W\",$tmp/worlds2\"," "$tmp/here/study.json" >"$tmp/study.json"
mv "$tmp/study.json" "$tmp/here/study.json"
try 2 isoflop -o "$tmp/here"; has err "worlds2: its held-out text is another one than that of run mlp-ladder-32x1-2e-08-s1"
sed "s,$tmp/worlds2\",$W\"," "$tmp/here/study.json" >"$tmp/study.json"
mv "$tmp/study.json" "$tmp/here/study.json"
try 0 -q isoflop -o "$tmp/here" --json; has out '"left":0,"runs_of_unknown_text":0'
# Results of older versions do not say: taken, and that is said.
sed -i '/_text"/d' "$tmp/there/runs"/*/result.json
rm -r "$tmp/here/runs/mlp-ladder-32x1-4e-08-s1"
try 0 isoflop -o "$tmp/here" --collect "$tmp/there"; has err "1 result of an older version"
rm -r "$tmp/here/runs/mlp-ladder-32x1-4e-08-s1"

# A run that diverges is told and left out.
try 0 -q isoflop --data "$W" --tokenizer "$tmp/tok.json" --kinds mlp --budgets 2e8 --scales 'ladder;32x1' --seeds 1 --set train.seq_len=32 \
  --set optimizer.learning_rate=1e6 --set schedule.warmup_steps=0 --set optimizer.clip=1e6 -o "$tmp/wild" --json
has out '"state":"diverged"'; has err "diverged"
# One whose numbers stay finite, too: worse by far than a guess; and the study goes on. Of a sweep all of which does, that is said.
wild="--data $W --tokenizer $tmp/tok.json --kinds mlp --budgets 2e8,4e8 --scales ladder;32x1 --seeds 1 --set train.seq_len=32 --set train.batch_size=8"
try 0 isoflop $wild --set optimizer.learning_rate=1e3 -o "$tmp/wild2"
has err "run mlp-ladder-32x1-2e-08-s1 diverged"; has out "diverged"
grep -q '"error": "the loss at the end, .* held out, is more than twice 5.704, a guess among 300 tokens"' "$tmp/wild2/runs"/*-2e-08-s1/result.json || bad "result.json does not say how"
sed -i -e 's/"state": "diverged"/"state": "done", "train_loss": 2e7, "valid_loss": 2e7, "standard_error": 1/' -e 's/"error": .*/"accuracy": 0/' "$tmp/wild2/runs"/*/result.json
try 0 isoflop -o "$tmp/wild2"; has out "diverged" # as older versions wrote it
try 0 isoflop $wild --vary optimizer.learning_rate=1e3,2e3 -o "$tmp/wild3"
has err "mlp: every choice diverged"; has out "best settings of mlp: none, every choice diverged"

# sweep: a grid, random choices, the warning of an edge.
sw="--data $W --tokenizer $tmp/tok.json --kind mlp --preset ladder;32x1 --set train.batch_size=8 --set train.seq_len=32 --set schedule.warmup_steps=2 --steps 6"
try 0 sweep $sw --vary optimizer.learning_rate=1e-6,1e-5,1e-4 -o "$tmp/sweep"
has out "best settings of mlp: optimizer.learning_rate=1e-4"; has err "first or last that was tried"
try 0 -q sweep $sw --random 3 --vary optimizer.learning_rate=1e-4..1e-2 --vary optimizer.weight_decay=1e-5..1e-3 -o "$tmp/random" --json
[ "$(grep -o '"name":"sweep-mlp' "$tmp/out" | wc -l)" = 3 ] || bad "three random choices"
try 0 sweep $sw --vary optimizer.learning_rate=1e-3,2e-3 --dry-run -o "$tmp/dry"
has err "2 runs"; [ ! -d "$tmp/dry/runs" ] || bad "a dry run made runs"

# An ablation: settings together, mean and scatter over seeds at equal FLOPs; seeds of each budget.
try 0 -q sweep --data "$W" --tokenizer "$tmp/tok.json" --kind sgatlin --preset 'ladder;32x1' --set train.batch_size=8 --set train.seq_len=32 \
  --set schedule.warmup_steps=2 --budget 4e8 --seeds 2 --choice feedforward.num_channels=2,feedforward.top_k=4 \
  --choice feedforward.num_channels=4,feedforward.top_k=2 --vary feedforward.activation=identity,relu -o "$tmp/shapes"
has out "feedforward.num_channels=2 feedforward.top_k=4"; has out "feedforward.activation=relu"; has out "of 2"
[ "$(ls "$tmp/shapes/runs" | wc -l)" = 8 ] || bad "4 choices with 2 seeds"
try 0 -q -t 1 sweep -o "$tmp/shapes" --retime --rounds 1 --json
[ "$(grep -o '"cpu_seconds":' "$tmp/out" | wc -l)" = 12 ] || bad "times of 4 choices and 8 runs"
# Steps are what the budget pays for: the same FLOPs within a step.
sed -n 's/.*"flops": *\([0-9.e+]*\),*/\1/p' "$tmp/shapes/runs"/*/result.json | sort -g | sed -n '1p;$p' | tr '\n' ' ' >"$tmp/ends"
awk '{ exit !($1 > 0.9 * $2 && $2 <= 4e8) }' "$tmp/ends" || bad "FLOPs from $(cat "$tmp/ends")"
try 0 -q isoflop --data "$W" --tokenizer "$tmp/tok.json" --kinds mlp --budgets 2e8,4e8 --scales 'ladder;32x1,ladder;32x2' --seeds 2,1 \
  --set train.batch_size=8 --set train.seq_len=32 -o "$tmp/seeds" --plan -
[ "$(grep -c -- '-2e-08-s' "$tmp/out")" = 4 ] || bad "two seeds at the first budget"
[ "$(wc -l <"$tmp/out")" = 6 ] || bad "one seed at the second budget"
try 2 isoflop $ask --seeds 2,1,1 -o "$tmp/x"; has err "one for each of the 2 budgets"
try 2 isoflop $ask --seeds 1.5 -o "$tmp/x"; has err "whole numbers"
try 2 sweep $sw --choice optimizer.clip -o "$tmp/x"; has err "KEY=VALUE"

# Errors.
try 2 isoflop $ask --kinds sgatlin,mlpp -o "$tmp/x"; has err "mlpp"
try 2 isoflop $ask --budgets 10 -o "$tmp/x"; has err "does not pay for one step"
try 2 isoflop $ask --budgets 2e8,x -o "$tmp/x"; has err "--budgets"
try 2 isoflop $ask --seeds 3 -o "$tmp/whole"; has err "seeds"; has err "choose another directory"
try 0 -q isoflop $(echo "$ask" | tr ';' :) -o "$tmp/whole" --plan -; empty out # the same study in the other spelling
try 2 isoflop $ask --scales 'ladder;32x1,ladder:32x1' -o "$tmp/x"; has err "twice"
try 2 isoflop $ask --kinds mlp,mlp -o "$tmp/x"; has err "names mlp twice"
try 2 isoflop $ask --vary optimizer.clip=0.1..1 -o "$tmp/x"; has err "sweep --random N"
try 2 isoflop --kinds mlp -o "$tmp/x"; has err "missing to begin a study: --data, --budgets, --scales"
mkdir "$tmp/train-only"
ln "$W/train.txt" "$tmp/train-only/train.txt"
try 1 isoflop --data "$tmp/train-only" --kinds mlp --budgets 2e8 --scales 'ladder;32x1' -o "$tmp/x"; has err "valid"; has err "a study compares"
try 4 isoflop $ask --max-memory 4M -o "$tmp/narrow"; has err "--max-memory is 4 MB"; has err "run sweep-"
try 1 isoflop -o "$tmp/nothing"; has err "study.json is missing"
OMPI_COMM_WORLD_SIZE=2 "$SGATLIN" isoflop -o "$tmp/whole" >"$tmp/out" 2>"$tmp/err" && bad "two ranks did one study"
has err "mpirun started 2"
try 2 isoflop -o "$tmp/whole" --against mlpp; has err "mlpp"
try 2 sweep -o "$tmp/sweep" --steps 9; has err "--data DIR is needed"
try 2 isoflop -o "$tmp/whole" --run no-such; has err "no such run"
try 2 sweep $sw --vary optimizer.learning_rate -o "$tmp/x"; has err "KEY=A,B"
try 2 sweep $sw --random 2 --vary optimizer.learning_rate=1e-3 -o "$tmp/x"; has err "LOW..HIGH"
[ ! -d "$tmp/x" ] || bad "a study that can not be left a directory"
sed -i 's/"steps": [0-9]*/"steps": 1/' "$tmp/whole/runs/mlp-ladder-32x1-2e-08-s1/result.json"
try 3 isoflop -o "$tmp/whole"; has err "belongs to other settings"
finish
