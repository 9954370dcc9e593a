#!/bin/sh
# stream.sh SGATLIN DATA OUT: text without end through a pipe. DATA's train shard (.jsonl.zst, SlimPajama's layout) again and again, as it lies packed,
# into `data tokens -`, until SIZE GB of text have passed; after each GB of it what the process holds in memory is read off. OUT/memory.csv has a line
# a GB, OUT/result.json the rate; both are printed. Tokens of a stream lie in a file of TMPDIR until the end: as many bytes as the text, about.
#
#   SIZE=20 THREADS=1 VOCABULARY=8192 TMPDIR=/var/tmp
set -eu
sgatlin=$1 data=$2 out=$3
mkdir -p "$out"
tokenizer="$out/tokenizer.json"
[ -f "$tokenizer" ] || "$sgatlin" -q tokenizer train -n "${VOCABULARY:-8192}" "$data/train.jsonl.zst" -o "$tokenizer"
python3 - "$sgatlin" "$data/train.jsonl.zst" "$tokenizer" "$out" "${SIZE:-20}" "${THREADS:-1}" <<'PY'
import json, math, os, subprocess, sys, threading, time
sgatlin, shard, tokenizer, out = sys.argv[1:5]
size, threads = float(sys.argv[5]) * 1e9, sys.argv[6]
packed = open(shard, "rb").read()
text = int(subprocess.run(f"zstd -dcq '{shard}' | wc -c", shell=True, check=True, capture_output=True, text=True).stdout)
times = math.ceil(size / text)
begin = time.monotonic()
p = subprocess.Popen([sgatlin, "-q", "-t", threads, "data", "tokens", "-", "-T", tokenizer, "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
answer = []
reader = threading.Thread(target=lambda: answer.append(p.stdout.read()))
reader.start()
def memory():
    # RssAnon: what it allocated; RssFile: pages of the program, and of the tokens' file.
    status = dict(l.split(":", 1) for l in open(f"/proc/{p.pid}/status"))
    ticks = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
    return [int(status[k].split()[0]) / 1e3 for k in ("VmRSS", "RssAnon", "RssFile", "VmHWM")], (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
log = open(f"{out}/memory.csv", "w")
def put(line):
    print(line, flush=True)
    print(line, file=log, flush=True)
put("GB of text,seconds,processor seconds,resident MB,of it allocated,of it mapped files,most so far")
for i in range(times):
    p.stdin.write(packed)
    if int((i + 1) * text / 1e9) > int(i * text / 1e9):
        m, cpu = memory()
        put(f"{(i + 1) * text / 1e9:.2f},{time.monotonic() - begin:.1f},{cpu:.1f}," + ",".join(f"{x:.1f}" for x in m))
p.stdin.close()
reader.join()
if p.wait():
    sys.exit(f"the command ended with {p.returncode}")
r = json.loads(answer[0])
r.update(text_bytes=times * text, shards=times, text_mb_per_second=times * text / 1e6 / r["seconds"], text_mb_per_core_second=times * text / 1e6 / r["cpu_seconds"])
json.dump(r, open(f"{out}/result.json.new", "w"), indent=2)
os.rename(f"{out}/result.json.new", f"{out}/result.json")
print(f"{times} shards, {times * text / 1e9:.2f} GB of text, {r['tokens']:,} tokens in {r['seconds']:.0f} s: {r['text_mb_per_second']:.1f} MB/s of text, "
      f"{r['text_mb_per_core_second']:.1f} MB per second of one core with {r['threads']} thread(s); at most {r['peak_rss_bytes'] / 1e6:.1f} MB of memory")
PY
