"""tour.py SGATLIN DEMO DOCUMENT...: runs every command of the documents in their order, in the folder that it is
started in, and compares what they print with what stands below them.

A command is a line of an indented block that begins with sgatlin (or build/sgatlin, or "$ sgatlin"), or sets a variable of
the shell, or writes a file by printf. The lines of the block behind it are what it prints; "..." leaves lines out.

Of the tests' own small model ($M) every number must be the one that is printed, but for the last digits, which another
instruction set rounds otherwise. Of the demo's model every line must be there with other numbers and tokens: it is
another model on each machine. Below a heading that names a column of free text only the numbers in front are compared.
"""
import os
import re
import signal
import subprocess
import sys

sgatlin, demo, documents = sys.argv[1], sys.argv[2], sys.argv[3:]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FREE = ("excerpt", "predictions", "adjectives", "neurons (channel:neuron)", "| measure")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
failures = []
ran = 0


def bad(where, what, *lines):
    failures.append(where)
    print(f"  {where}: {what}")
    for line in lines[:12]:
        print(f"      {line}")


def commands(path):
    """(line number, command, lines of what it prints)"""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    found, blank = None, 0
    i = 0
    while i < len(lines):
        line, number = lines[i], i + 1
        i += 1
        if not line.startswith("    "):
            if line.strip():
                if found:
                    yield found
                found = None
            elif found:
                blank += 1
            continue
        text = line[4:]
        start = re.match(r"(?:\$ )?((?:build/)?sgatlin .*|[A-Z]+=.*|printf .*)$", text)
        if start:
            if found:
                yield found
            command = start[1]
            while command.endswith("\\"):
                command = command[:-1] + lines[i].strip()
                i += 1
            found, blank = (number, command, []), 0
        elif re.match(r"(?:make|sh) ", text):
            pass  # what this test itself stands on
        elif found:
            found[2].extend([""] * blank + [text])
            blank = 0
    if found:
        yield found


def key(line):
    """The line without numbers and tokens."""
    line = re.sub(r'"(?:[^"]*|")"(?=[\s:;,]|$)', "Q", line.strip())
    line = re.sub(r"\b\d+m\d\ds\b", "N s", line)  # 1m05s
    line = NUMBER.sub("N", line)
    line = re.sub(r"N(?:s\b| ?[KMGT]i?B?\b| s\b|[kMG]\b)", "N", line)  # units that go with the size
    line = re.sub(r"N(?:,N)+", "N", line)
    line = re.sub(r"\b(document|token|noun|neuron|logit|position|time|point|pair)s?\b", r"\1", line)
    return re.sub(r"\s+", " ", line)


def close(claimed, printed):
    """Numbers of two lines, within the last digits of what is claimed; those of rounding alone within nothing."""
    a, b = NUMBER.findall(claimed), NUMBER.findall(printed)
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        digits = len(x.split("e")[0].split(".")[1]) if "." in x else 0
        if "e-" in x:
            if float(y) > 1e-5:
                return False
        elif abs(float(x) - float(y)) > 2.5 * 10**-digits * bool(digits) + 1e-4 * abs(float(x)) * bool(digits):
            return False
    return True


def numbers_in_front(line):
    out = re.match(r"\s*((?:(?:for|against|query)\s+)?(?:[-+]?\d[\d.:e%+-]*\s+)*)", line)[1]
    return len(out.split())


def compare(where, command, claimed, printed, exact):
    have = [(key(p), p) for p in printed if p.strip()]
    free = False
    for line in claimed:
        if not line.strip():
            free = False
            continue
        if line.strip() == "...":
            continue
        matches = [p for k, p in have if k == key(line)]
        if matches:
            free = any(word in line for word in FREE) or free
            if exact and not any(close(line, p) for p in matches):
                bad(where, f"{command}\n      says: {line}", *matches)
            continue
        if free and any(numbers_in_front(p) == numbers_in_front(line) for _, p in have):
            continue
        bad(where, f"{command}\n      does not print: {line}", *[p for _, p in have])


def explore(where, command, environment):
    """Starts the explorer, takes its address and stops it."""
    process = subprocess.Popen(["sh", "-c", f"exec {command}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    line = process.stdout.readline().decode()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    if "http://127.0.0.1:" not in line:
        bad(where, f"{command}: printed no address", line, err.decode())


def run(path, number, command, claimed, environment, shell):
    global ran
    where = f"{path}:{number}"
    ran += 1
    if re.match(r"[A-Z]+=", command):
        shell.append(command)
        return
    of_demo = "demo/" in command or re.search(r"(?:^|\s)rec(?:\s|$)", command)
    if of_demo and re.search(r"--(?:channel|neuron|index)[ =]\d|--neurons \d", command):
        bad(where, f"{command}: names a neuron of one machine's model; take it from the step before")
    command = re.sub(r"(?:^|(?<=&& ))(?:build/)?sgatlin", sgatlin, command)
    command = re.sub(r"\s+#\s.*$", "", command).replace(" --open", "")
    if " sparse train " in command:
        command = re.sub(r"( sparse train [^&]*)", r"\1 --steps 2 --features 64 ", command)
    elif re.search(r" train ", command):  # as it stands, but small
        command = command.replace("book.txt", "demo/book.txt").replace("-o run", "-o tour-run") + " --config small.json --steps 2"
    before, _, last = command.rpartition(" && ")
    if f"{sgatlin} explore" in last:
        if before and subprocess.run(["sh", "-c", before], env=environment, capture_output=True).returncode:
            bad(where, f"{before}: failed")
        return explore(where, last, environment)
    script = "\n".join(shell + [command])
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode:
        return bad(where, f"{command}: exit code {done.returncode}", *err.split("\n"))
    exact = "$M" in command or (not of_demo and "tests/golden" in command)
    compare(where, command, claimed, (err + out).split("\n"), exact)


environment = {k: v for k, v in os.environ.items() if not k.startswith("SGATLIN_")}
for name, to in (("tests", os.path.join(root, "tests")), ("demo", os.path.abspath(demo))):
    if not os.path.lexists(name):
        os.symlink(to, name)
for document in documents:
    shell = []
    for number, command, claimed in commands(os.path.join(root, document)):
        run(document, number, command, claimed, environment, shell)
print(f"{ran} commands, {len(failures)} failures")
sys.exit(bool(failures))
