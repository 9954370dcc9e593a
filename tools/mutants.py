"""mutants.py KIND BUILD [--only TEXT] [--alive LOG] [--skip LOG] [--jobs N] [--list]: see mutants.sh. Prints a line a mutant (rule, place, function,
change, the test that saw it) and a sum."""
import concurrent.futures, glob, os, queue, re, signal, subprocess, sys, time

GENERIC = "grad/test_ffn"
# What a mutant leaves unset must not be what the call before left in the same place of the stack.
UNSET = "-ftrivial-auto-var-init=pattern"
# What stands in a kind's files for options alone (metarouter, routers shared by layers, gates) only models with them reach: quickest first.
OTHERS = ["golden/test_experts", "unit/test_sites", "unit/test_options", "unit/test_drop", "unit/test_exact", "grad/test_model"]


def functions(lines):
    """(name, first, last) of each function: its body's lines."""
    out, begin, name = [], None, ""
    for i, line in enumerate(lines):
        one = re.match(r"^[a-z].*?(\w+)\(.*\) \{ .* \}$", line)
        if one:
            out.append((one[1], i, i + 1))
            continue
        if begin is None:
            m = re.match(r"^[a-z].*?(\w+)\(", line)
            if m:
                name = m[1]
            if line.endswith("{") and not line.startswith((" ", "}", "static const", "typedef", "enum", "const", "struct")):
                begin = i + 1
        elif line == "}":
            out.append((name, begin, i))
            begin = None
    return out


def statements(lines, first, last):
    """(first, last) of statements that end with ; and are no declarations, returns or laps."""
    i = first
    while i < last:
        begin = i
        while i < last and not lines[i].rstrip().endswith((";", "{", "}", "*/")) and not lines[i].lstrip().startswith(("#", "case")):
            i += 1
        text = " ".join(lines[begin : i + 1]).strip()
        skip = r"^(return\b|\(void\)|#|/\*|sgi_(lap|work|profile|sparse_lap)|if \(st\) return|else\b|\}|const |static |double at|size_t |float |bool |\w+ = sgi_lap_begin|sgi_arena |sgi_sparse s|sgi_gate |sgi_profile |kept |work |packed |places |sg_status )"
        if text.endswith(";") and not re.match(skip, text):
            yield begin, i
        i += 1


def begin_of(lines, i):
    """The line that the statement of line i begins on: what a call of the profile is told goes on over several."""
    while i > 0 and not lines[i - 1].rstrip().endswith((";", "{", "}", "*/", ":")) and not lines[i - 1].startswith("#"):
        i -= 1
    return lines[i]


def replaced(lines, i, old, new, count=1):
    out = list(lines)
    out[i] = lines[i].replace(old, new, count)
    return out


def inside_of(lines):
    return {i: name for name, a, b in functions(lines) for i in range(a, b)}


def mutants(lines):
    """(rule, line, change, new lines)."""
    inside = inside_of(lines)
    for i, line in enumerate(lines):
        name = inside.get(i, "")
        for m in re.finditer(r"\b(true|false), SGI_INIT_\w+", line):
            other = "false" if m[1] == "true" else "true"
            yield "decay", i, f"{m[1]} -> {other}", replaced(lines, i, m[0], m[0].replace(m[1], other))
        for m in re.finditer(r"sqrt\(\(double\)(\w+)\)", line):
            other = {"F": "D", "D": "F", "in": "out", "out": "in", "Q": "D"}.get(m[1])
            if other and "sub_keys" not in name:
                yield "start", i, f"{m[1]} -> {other}", replaced(lines, i, m[0], m[0].replace(f"){m[1]}", f"){other}"))
        if re.search(r"\{\"[^\"]*\", \w+, \{", line):
            for m in re.finditer(r"SGI_SITE_(?!NONE)\w+", line):
                yield "site", i, f"{m[0]} is not left", replaced(lines, i, m[0], "SGI_SITE_NONE")
        if "multiply_adds" in name:
            for m in re.finditer(r"\b[23]\b", line):
                yield "flops", i, f"{m[0]} -> {int(m[0]) - 1}", [*lines[:i], line[: m.start()] + str(int(m[0]) - 1) + line[m.end() :], *lines[i + 1 :]]
            for m in re.finditer(r" \+ ", line):
                yield "flops", i, "+ -> -", [*lines[:i], line[: m.start()] + " - " + line[m.end() :], *lines[i + 1 :]]
        if "unit" in name:
            swaps = [("W_IN]", "W_OUT]"), ("W_OUT]", "W_IN]"), ("w[UP]", "w[DOWN]"), ("w[DOWN]", "w[UP]"), ("w[p.in]", "w[p.out]"), ("w[p.out]", "w[p.in]")]
            swaps += [("(form->rows - 1) * F + index", "index"), (" + last", ""), (" + form->shift", ""), (" + 1,", ","), ("F + f)", "f)"), ("F + index)", "index)"), ("F + f]", "f]"), ("F + index]", "index]")]
            swaps += [("value / dot", "value"), ("h / u", "h"), ("channel * c->num_neurons + index", "index"), (".stride = F", ".stride = 1"), (", p)", ", 1)")]
            for a, b in swaps:
                if a in line:
                    yield "unit", i, f"{a} -> {b or 'nothing'}", replaced(lines, i, a, b)
        if "backward" in name:
            for m in re.finditer(r", 0, call->scratch\)", line):
                yield "adds", i, "assigned -> added", replaced(lines, i, m[0], ", 1, call->scratch)")
            if " += " in line:
                yield "adds", i, "+= -> =", replaced(lines, i, " += ", " = ")
        if re.search(r"backward|forward", name) and not re.match(r"\s*(/\*|#|for \(|if \(|[a-z].*\{$|sgi_)", begin_of(lines, i)):
            for m in re.finditer(r"(?<=\w|\]) ([*-]) (?=\w|\()", line):
                yield "gate", i, f"{m[1]} -> +", [*lines[:i], line[: m.start(1)] + "+" + line[m.end(1) :], *lines[i + 1 :]]
    for name, a, b in functions(lines):
        if re.search(r"backward|forward|scratch|saved|hidden|output|neurons|choose|gate$|^out$|^sum$|^check$|group|_row$|_side$|_out$|^mixed$|^half$", name):
            rule = "gradient" if re.search("backward|_row$|_side$", name) else "memory" if re.search("scratch|saved", name) else "forward"
            if b == a + 1 and lines[a].startswith(("void", "static void")):
                yield rule, a, "without its body", replaced(lines, a, lines[a][lines[a].index("{ ") :], "{ }")
            for i, j in statements(lines, a, b):
                yield rule, i, "without " + " ".join(x.strip() for x in lines[i : j + 1])[:60], lines[:i] + lines[j + 1 :]


class Bench:
    """Builds the tests once. A mutant is then one object, linked in front of the library that has it right, in a folder of its worker."""

    def __init__(self, build):
        self.build, self.seconds = build, {}
        self.env = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", CMOCKA_TEST_ABORT="1", SGATLIN_TEST_OTHERS="1")
        self.programs = [f"{build}/tests/{test}" for test in [GENERIC, *OTHERS]]
        self.make(*self.programs)
        lines = self.make("-n", *[f"-W{build}/libsgatlin.a"], *self.programs)
        self.links = {test: self.command(lines, f"-o {program}") for test, program in zip([GENERIC, *OTHERS], self.programs)}

    def make(self, *what):
        done = subprocess.run(["make", f"-j{os.cpu_count()}", f"BUILD={self.build}", "OPT=-O1", *what], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"mutants: make {' '.join(what)} failed")
        return done.stdout.replace("\\\n", " ").split("\n")

    @staticmethod
    def command(lines, end):
        """What make would run for a file, without the folder and the message before it."""
        line = next(line for line in lines if line.rstrip().endswith(end))
        return line[line.rindex("; ") + 2 :]

    def compiler(self, path):
        return self.command(self.make("-n", f"-W{path}", f"{self.build}/obj/{path[:-2]}.o"), f"-o {self.build}/obj/{path[:-2]}.o")

    def run(self, command, seconds, **more):
        """(exit status, output); a mutant may also never end."""
        child = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", text=True, start_new_session=True,
                                 env=dict(self.env, **more))
        try:
            out, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, _ = child.communicate()
        return child.returncode, out

    def failed(self, test, program, kinds):
        """The name of what fails of a test; "" where nothing does."""
        began = time.time()
        status, out = self.run(program, self.seconds.get(test, 3600), SGATLIN_TEST_KIND=" ".join(kinds))
        if test not in self.seconds:
            self.seconds[test] = 30 + 20 * (time.time() - began)
        at = re.findall(r"^\[ RUN      \] (\w+)", out, re.M)
        return "" if status == 0 else f"{test}{' ' + at[-1] if at else ''}"

    def as_it_is(self, kinds):
        """Nothing may fail without a mutant; and this says how long a test takes."""
        for test, program in zip(self.links, self.programs):
            if self.failed(test, program, kinds):
                sys.exit(f"mutants: {self.failed(test, program, kinds)} fails as it is")

    def seen(self, worker, compiler, path, lines, kinds):
        """The first test that sees the change; "" where none does, None where it does not compile."""
        base = f"{self.build}/worker-{worker}"
        os.makedirs(base, exist_ok=True)
        open(f"{base}/mutant.c", "w").write("\n".join(lines))
        compiler = compiler.replace(f"-c {path}", f"{UNSET} -w -c {base}/mutant.c").replace(f"-o {self.build}/obj/{path[:-2]}.o", f"-o {base}/mutant.o")
        if self.run(compiler, 600)[0]:
            return None
        for test, link in self.links.items():
            program = f"{base}/{os.path.basename(test)}"
            link = link.replace(f"{self.build}/libsgatlin.a", f"{base}/mutant.o {self.build}/libsgatlin.a").replace(f"-o {self.build}/tests/{test}", f"-o {program}")
            status, out = self.run(link, 600)
            if status:
                sys.exit(f"mutants: {test} does not link\n{out}")
            at = self.failed(test, program, kinds)
            if at:
                return at
        return ""


def option(name, other=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else other


def main():
    kind, build = sys.argv[1], sys.argv[2]
    own = f"src/ffn/{kind}.c"
    kinds = re.findall(r"^  X\((\w+)\)", open("src/ffn/kinds.h").read(), re.M)
    stands_on = {k: re.findall(r'"ffn/((?:sparse|dense)_kind)\.h"', open(f"src/ffn/{k}.c").read()) for k in kinds}
    # A kind's other files, but for what it can become: that is no part of the layer (golden/test_convert).
    files = {f: [kind] for f in [own, *sorted(glob.glob(f"src/ffn/{kind}_*.c"))] if not f.endswith("_convert.c")}
    for skeleton in stands_on[kind]:  # what one kind does not use of it another does
        files[f"src/ffn/{skeleton}.c"] = [k for k in kinds if skeleton in stands_on[k]]
    text = {f: open(f).read().split("\n") for f in files}
    inside = {f: inside_of(text[f]) for f in files}
    todo = [(f, *m) for f in files for m in mutants(text[f])]
    # A line's number changes with what stands above it; the function and the change do not.
    said = lambda f, rule, i, what, _: " ".join(f"{rule} {f} {inside[f].get(i, '-')}: {what}".split())
    told = lambda log: [" ".join(re.sub(r"\.c:\d+", ".c", line).split("  by ")[0].split()) for line in open(log)]
    if option("--only"):  # those whose line holds a text
        todo = [m for m in todo if option("--only") in text[m[0]][m[2]]]
    if option("--alive"):  # those that an earlier run could not kill
        alive = {line[len("ALIVE ") :] for line in told(option("--alive")) if line.startswith("ALIVE ")}
        todo = [m for m in todo if said(*m) in alive]
    if option("--skip"):  # an earlier run was stopped: the rest
        had = {line.split(" ", 1)[1] for line in told(option("--skip")) if line.startswith(("ALIVE ", "killed "))}
        todo = [m for m in todo if said(*m) not in had]
    line_of = lambda f, rule, i, what, _: f"{rule:9} {f}:{i + 1} {inside[f].get(i, '-')}: {what}"
    if "--list" in sys.argv:
        for m in todo:
            print(line_of(*m))
        return print(f"{len(todo)} mutants of {kind}")
    bench, workers, count = Bench(build), queue.Queue(), {"killed": 0, "ALIVE": 0, "invalid": 0}
    compilers = {f: bench.compiler(f) for f in files}
    bench.as_it_is(sorted({k for f in files for k in files[f]}))
    jobs = int(option("--jobs", os.cpu_count()))
    for worker in range(jobs):
        workers.put(worker)

    def judged(m):
        f, rule, i, what, lines = m
        worker = workers.get()
        try:
            seen = bench.seen(worker, compilers[f], f, lines, files[f])
        finally:
            workers.put(worker)
        return "invalid" if seen is None else "killed" if seen else "ALIVE", seen

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for m, (word, seen) in zip(todo, pool.map(judged, todo)):
            count[word] += 1
            if word != "invalid":
                print(f"{word:7} {line_of(*m)}{'  by ' + seen if seen else ''}", flush=True)
    killed, alive = count["killed"], count["ALIVE"]
    print(f"{kind}: {killed + alive} mutants, {killed} killed, {alive} alive ({count['invalid']} more did not compile)")
    sys.exit(1 if alive else 0)


main()
