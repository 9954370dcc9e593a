#!/bin/sh
# e8.sh SGATLIN OUT BOOKS: do a metarouter's pools go with topics, and what does it cost (docs/results-reading.md, metarouters)? Four sources of
# one length: the built-in corpus, books (a folder of .txt, or of .jsonl with a field text, plain or .zst), code (the headers of /usr/include) and manual pages of this system, pieces of about
# BYTES bytes. Variants of equal active FLOPs: sgatlin; four pools chosen by token, by sequence; and sgatlin with the neurons of all four (equal bytes). Each at the best of
# RATES, found at one seed and a quarter of the steps. What is there is gone on with; STEPS, SEEDS, RATES, DOCUMENTS (of each source).
# OUT/VARIANT-SEED.json, and the table of all on standard output.
set -eu
sgatlin=$1 out=$2 books=${3:-}
steps=${STEPS:-1500} seeds=${SEEDS:-"1 2 3"} rates=${RATES:-"2e-3 4e-3 8e-3"}
export DOCUMENTS=${DOCUMENTS:-1500} BYTES=${BYTES:-600}
mkdir -p "$out"
[ -f "$out/text/valid.jsonl" ] || {
  [ -d "$books" ] || { echo "e8.sh: the third argument must be a folder of books, .txt or .jsonl"; exit 2; }
  "$sgatlin" -q data worlds --stories $((3 * DOCUMENTS)) --seed 1 -o "$out/worlds"
  mkdir -p "$out/text"
  python3 - "$out" "$books" <<'PY'
import glob, gzip, json, os, random, re, subprocess, sys

out, books = sys.argv[1:]
want, size = int(os.environ["DOCUMENTS"]), int(os.environ["BYTES"])
held = max(want // 20, 25)


def plain(path):
    text = (gzip.open if path.endswith(".gz") else open)(path, "rb").read().decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def book(path):
    if ".jsonl" not in path:
        return plain(path)
    text = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout if path.endswith(".zst") else open(path, "rb").read()
    return "\n".join(json.loads(l)["text"] for l in text.decode().split("\n") if l)


def page(path):
    lines = [l for l in plain(path).split("\n") if l and l[0] not in ".'\\"]
    return re.sub(r"\\f[BIRP]|\\&|\\-", lambda m: "-" if m[0] == "\\-" else "", "\n".join(lines))


def pieces(texts, most=40):
    """Pieces of whole lines of about `size` bytes, at most so many of one text, as many as are wanted."""
    found = []
    for text in texts:
        if len(found) >= want + held:
            break
        own, piece = [], ""
        for line in text.split("\n"):
            piece += line + "\n"
            if len(piece) >= size:
                own.append(piece[: 2 * size].strip())
                piece = ""
        found += [p for p in own if len(p) > size // 2][:most]
    return found[: want + held]


random.seed(8)
worlds = [s for s in plain(out + "/worlds/train.txt").split("<|endoftext|>") if s.strip()]
grouped = ["\n".join(s.strip() for s in worlds[i : i + 3]) for i in range(0, len(worlds), 3)]
shuffled = lambda paths: random.sample(sorted(paths), len(paths))
sources = {
    "worlds": pieces(grouped),
    "books": pieces((book(p) for p in shuffled(glob.glob(books + "/**/*.txt", recursive=True) + glob.glob(books + "/**/*.jsonl*", recursive=True))), None),
    "code": pieces(plain(p) for p in shuffled(glob.glob("/usr/include/**/*.h", recursive=True)) if os.path.isfile(p)),
    "manual": pieces(page(p) for p in shuffled(glob.glob("/usr/share/man/man[1235678]/*.gz"))),
}
least = min(len(p) for p in sources.values())
if least < 2 * held:
    sys.exit("e8.sh: a source has only %d pieces: %s" % (least, {k: len(v) for k, v in sources.items()}))
for split in ("train", "valid"):
    rows = []
    for name, all_ in sources.items():
        own = all_[:least]
        rows += [{"text": t, "source": name} for t in (own[held:] if split == "train" else own[:held])]
    random.shuffle(rows)
    with open("%s/text/%s.jsonl" % (out, split), "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
PY
}
settings="--set model.hidden_size=64 --set model.num_hidden_layers=3 --set model.head_dim=32 --set train.seq_len=128 --set train.batch_size=16
 --set tokenizer.vocab_size=1024 --set feedforward.num_channels=4 --set feedforward.top_k=4 --set feedforward.key_dim=32
 --set eval.every=0 --set checkpoint.every=0 --set checkpoint.keep=1"
variant() { # VARIANT: its settings
  case $1 in
    sgatlin) echo "--set feedforward.num_neurons=144" ;;
    bytes) echo "--set feedforward.num_neurons=576" ;;
    token) echo "--set feedforward.num_neurons=144 --set feedforward.meta.experts=4" ;;
    sequence) echo "--set feedforward.num_neurons=144 --set feedforward.meta.experts=4 --set feedforward.meta.choice=sequence --set feedforward.meta.prefix=32" ;;
  esac
}
train() { # VARIANT SEED RATE STEPS RUN
  [ -f "$5.trained" ] && return
  rm -rf "$5"
  # shellcheck disable=SC2086,SC2046
  "$sgatlin" -q -t 1 train --data "$out/text" -o "$5" --seed "$2" --steps "$4" $settings $(variant "$1") --set optimizer.learning_rate="$3" \
    ${tokenizer:+--tokenizer "$tokenizer"}
  : >"$5.trained"
}
loss() { "$sgatlin" -q -t 1 eval "$1" --data "$out/text/valid.jsonl" --json; }
tokenizer=
[ ! -f "$out/tokenizer.json" ] || tokenizer=$out/tokenizer.json
for v in sgatlin bytes token sequence; do
  for rate in $rates; do
    train $v 1 "$rate" $((steps / 4)) "$out/rate-$v-$rate"
    [ -n "$tokenizer" ] || cp "$out/rate-$v-$rate/tokenizer.json" "$out/tokenizer.json"
    tokenizer=$out/tokenizer.json
    [ -f "$out/rate-$v-$rate.json" ] || { loss "$out/rate-$v-$rate" >"$out/new.json" && mv "$out/new.json" "$out/rate-$v-$rate.json"; }
  done
  best=$(python3 -c '
import json, sys
print(min(sys.argv[3:], key=lambda r: json.load(open("%s/rate-%s-%s.json" % (sys.argv[1], sys.argv[2], r)))["loss"]))' "$out" $v $rates)
  for seed in $seeds; do
    run="$out/$v-$seed"
    train $v "$seed" "$best" "$steps" "$run"
    [ -f "$run.json" ] || {
      loss "$run" >"$run.loss.json"
      printf '{}\n' >"$run.topics.json"
      case $v in token | sequence)
        "$sgatlin" -q -t 1 topics "$run" --data "$out/text/valid.jsonl" --by source --documents 0 --json --svg "$out/$v-$seed.svg" >"$run.topics.json" ;;
      esac
      python3 -c 'import json, sys; json.dump({"rate": sys.argv[3], "loss": json.load(open(sys.argv[1])), "topics": json.load(open(sys.argv[2]))}, sys.stdout)' \
        "$run.loss.json" "$run.topics.json" "$best" >"$run.new"
      mv "$run.new" "$run.json"
    }
  done
done
python3 - "$out" <<'PY'
import glob, json, math, statistics, sys

out = sys.argv[1]
base = None
print("| variant | rate | loss | perplexity against sgatlin | separation, documents | tokens | p | purity |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |")
for v in ("sgatlin", "bytes", "token", "sequence"):
    runs = [json.load(open(f)) for f in sorted(glob.glob("%s/%s-[0-9].json" % (out, v)))]
    losses = [r["loss"]["loss"] for r in runs]
    mean, sd = statistics.mean(losses), statistics.stdev(losses) if len(losses) > 1 else 0
    base = mean if base is None else base
    row = [v, runs[0]["rate"], "%.4f +- %.4f" % (mean, sd), "%+.1f %%" % (100 * (math.exp(mean - base) - 1))]
    gates = [g for r in runs for g in r["topics"].get("gates", [])]
    for unit, key in (("documents", "separation"), ("tokens", "separation"), ("documents", "p"), ("documents", "purity")):
        # the best gate of each run; p: the largest of all gates
        own = [[g[unit][key] for g in r["topics"].get("gates", [])] for r in runs]
        if not gates:
            row.append("-")
        elif key == "p":
            row.append("%.3f" % max(max(g) for g in own))
        else:
            best = [max(g) for g in own]
            row.append("%.3f (%.3f to %.3f)" % (statistics.mean(best), min(best), max(best)))
    print("| " + " | ".join(row) + " |")
PY
