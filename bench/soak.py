#!/usr/bin/env python3
"""soak.py SGATLIN MODEL [--seconds 600] [--pause 0]: mixed work for the explorer, with clients that leave in the middle.

Every answer of /api/attribute and /api/predict is compared with the command's, digit by digit. After every tenth the clients rest for
some seconds, and resident memory and open descriptors of the idle server are printed: under load they show what the requests at that
moment hold. Fails on any other answer, on growth above 1 % from the first rest to the last, on a descriptor more than before the first
request.  make soak SOAK_MODEL=... SOAK_SECONDS=28800 is the long one. --pause is the mean number of seconds that a client waits between
requests, for a machine that has other work. --answers: only the answers, without the rests in which memory is looked at.
"""
import argparse, http.client, json, os, random, socket, subprocess, sys, threading, time

p = argparse.ArgumentParser()
p.add_argument("sgatlin")
p.add_argument("model")
p.add_argument("--seconds", type=float, default=600)
p.add_argument("--clients", type=int, default=4)
p.add_argument("--pause", type=float, default=0)
p.add_argument("--answers", action="store_true")
a = p.parse_args()

texts = ["The old dog sat", "Once upon a time", "A little cat", "The tree was tall and old", "dog"]


def command(*args):
    return json.loads(subprocess.run([a.sgatlin, "-q", *args, "--json"], check=True, capture_output=True).stdout)


def same_rows(served, told):
    """The command tells more of each candidate (how it would go on); all that is served must be what it tells."""
    return len(served) == len(told) > 0 and all(s.items() <= t.items() for s, t in zip(served, told))


def strip(o):
    return json.dumps(o, sort_keys=True)


wanted = {t: strip(command("attribute", a.model, "--prompt", t, "--top", "20")) for t in texts}
ablated = {t: command("ablate", a.model, "--prompt", t, "--edit", "layers.0.neurons*=0.5") for t in texts}

server = subprocess.Popen([a.sgatlin, "-q", "explore", a.model], stdout=subprocess.PIPE, text=True)
url = server.stdout.readline().strip()
port, token = int(url.split(":")[2].split("/")[0]), url.split("token=")[1]
head = {"X-Sgatlin-Token": token, "Content-Type": "application/json"}
stop, lock, counts, problems, go = time.time() + a.seconds, threading.Lock(), {}, [], threading.Event()


def note(what):
    with lock:
        counts[what] = counts.get(what, 0) + 1


def wrong(what):
    with lock:
        problems.append(what)


def ask(path, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        c.request("POST", path, json.dumps(body), head)
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def leave(rng):
    """A client that hangs up at any byte, in order or with a reset."""
    body = json.dumps({"text": rng.choice(texts)}).encode()
    path = rng.choice(["/api/graph", "/api/margins", "/api/attribute", "/api/lens"])
    text = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Sgatlin-Token: {token}\r\nContent-Type: application/json\r\n"
            f"{rng.choice(['', 'Accept: text/event-stream' + chr(13) + chr(10)])}Content-Length: {len(body)}\r\n\r\n").encode() + body
    s = socket.create_connection(("127.0.0.1", port), timeout=60)
    s.sendall(text[:rng.choice([len(text), rng.randrange(len(text))])])
    time.sleep(rng.random() * 0.05)
    if rng.random() < 0.3:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def client(seed):
    rng = random.Random(seed)
    while time.time() < stop:
        if a.pause:
            time.sleep(min(rng.expovariate(1 / a.pause), max(0, stop - time.time())))
        go.wait()
        t, kind = rng.choice(texts), rng.random()
        try:
            if kind < 0.3:
                leave(rng)
                note("left")
            elif kind < 0.6:
                status, body = ask("/api/attribute", {"text": t, "top": 20})
                if status == 200 and strip(json.loads(body)) != wanted[t]:
                    wrong(f"attribute {t!r}: another answer")
                note(f"attribute {status}")
            elif kind < 0.8:
                status, body = ask("/api/predict", {"text": t})
                if status == 200 and not same_rows(json.loads(body)["predictions"][-1], ablated[t]["before"]):
                    wrong(f"predict {t!r}: another answer")
                note(f"predict {status}")
            elif kind < 0.9:
                note(f"bad {ask('/api/predict', {'text': 5})[0]}")
            else:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                c.request("GET", "/app.js")
                if len(c.getresponse().read()) < 1000:
                    wrong("app.js is cut")
                c.close()
                note("page")
        except (OSError, http.client.HTTPException) as e:
            wrong(f"{type(e).__name__}: {e}")


def state():
    with open(f"/proc/{server.pid}/status") as f:
        rss = next(int(x.split()[1]) for x in f if x.startswith("VmRSS"))
    return rss, len(os.listdir(f"/proc/{server.pid}/fd"))


REST = 7  # seconds: connections that were left are gone by then (5 s), freed memory is given back
idle = state()[1]
threads = [threading.Thread(target=client, args=(i,)) for i in range(a.clients)]
go.set()
for t in threads:
    t.start()
began, rests = time.time(), []
for i in () if a.answers else range(1, 11):
    time.sleep(max(0, began + a.seconds * i / 10 - time.time()))
    go.clear()
    time.sleep(REST)
    rests.append(state())
    print(f"{a.seconds * i / 10:.0f} s: {rests[-1][0]} kB resident, {rests[-1][1]} descriptors, {len(problems)} problems", flush=True)
    go.set()
for t in threads:
    t.join()
server.terminate()
server.wait()
print(f"{a.seconds:.0f} s: {dict(sorted(counts.items()))}")
if rests:
    early, rss, files = rests[0][0], *rests[-1]
    print(f"resident memory {early} kB after a tenth, {rss} kB at the end ({100 * (rss - early) / early:+.2f} %); descriptors {idle}, then {files}")
    if rss > 1.01 * early:
        problems.append("memory grew")
    if files > idle:
        problems.append("descriptors are left open")
elif not any(k.startswith("predict 200") for k in counts):
    problems.append("nothing was asked")
for x in problems[:20]:
    print("FAIL", x)
if server.returncode != 143:  # ended by SIGTERM, in order
    print(f"FAIL the server ended with {server.returncode}")
sys.exit(1 if problems or server.returncode != 143 else 0)
