"""mutants.py KIND TREE [--only TEXT] [--alive LOG] [--skip LOG] [--list]: see mutants.sh. Prints a line a mutant (rule, place, change, the test that saw it) and
a sum."""
import glob, os, re, subprocess, sys

# What stands in a kind's files for options alone (metarouter, routers shared by layers, gates) only models with them reach: quickest first.
OTHERS = ["golden/test_experts", "unit/test_sites", "unit/test_options", "unit/test_exact", "grad/test_model"]
TESTS = ["refusals", "tensors", "units", "sites", "every_kind", "weight_gradients", "fewer_rows", "same_bits"]  # quickest first


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


def mutants(lines):
    """(rule, line, change, new lines)."""
    inside = {i: name for name, a, b in functions(lines) for i in range(a, b)}
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


def main():
    kind, tree = sys.argv[1], sys.argv[2]
    own = f"src/ffn/{kind}.c"
    kinds = re.findall(r"^  X\((\w+)\)", open("src/ffn/kinds.h").read(), re.M)
    stands_on = {k: re.findall(r'"ffn/((?:sparse|dense)_kind)\.h"', open(f"src/ffn/{k}.c").read()) for k in kinds}
    # A kind's other files, but for what it can become: that is no part of the layer (golden/test_convert).
    files = {f: [kind] for f in [own, *sorted(glob.glob(f"src/ffn/{kind}_*.c"))] if not f.endswith("_convert.c")}
    for skeleton in stands_on[kind]:  # what one kind does not use of it another does
        files[f"src/ffn/{skeleton}.c"] = [k for k in kinds if skeleton in stands_on[k]]
    todo = [(f, m) for f in files for m in mutants(open(f).read().split("\n"))]
    if "--only" in sys.argv:  # those whose line holds a text
        text = sys.argv[sys.argv.index("--only") + 1]
        todo = [(f, m) for f, m in todo if text in open(f).read().split("\n")[m[1]]]
    said = lambda f, m: " ".join(f"{m[0]} {f}:{m[1] + 1}: {m[2]}".split())
    told = lambda option: [line.split("  by ")[0].split() for line in open(sys.argv[sys.argv.index(option) + 1])]
    if "--alive" in sys.argv:  # those that an earlier run could not kill
        alive = {" ".join(words[1:]) for words in told("--alive") if words[:1] == ["ALIVE"]}
        todo = [(f, m) for f, m in todo if said(f, m) in alive]
    if "--skip" in sys.argv:  # an earlier run was stopped: the rest
        had = {" ".join(words[1:]) for words in told("--skip") if words[:1] in (["ALIVE"], ["killed"])}
        todo = [(f, m) for f, m in todo if said(f, m) not in had]
    if "--list" in sys.argv:
        for f, (rule, i, what, _) in todo:
            print(f"{rule:9} {f}:{i + 1}: {what}")
        return print(f"{len(todo)} mutants of {kind}")
    env = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")

    def built(test):
        make = ["make", "-s", "-j2", "-C", tree, "BUILD=build", "OPT=-O1", f"build/tests/{test}"]
        return subprocess.run(make, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env).returncode == 0

    def fails(test, **more):
        """A mutant may also never end."""
        try:
            return subprocess.run([os.path.join(os.path.abspath(tree), "build/tests", test)], cwd=tree, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=600, env=dict(env, **more)).returncode != 0
        except subprocess.TimeoutExpired:
            return True

    def seen_by(kinds):
        """The first test that fails; "" where none does, None where it does not compile."""
        if not built("grad/test_ffn"):
            return None
        for name in [] if "--alive" in sys.argv else TESTS:  # these did not see them
            if fails("grad/test_ffn", SGATLIN_TEST_ONLY=f"{name}*", SGATLIN_TEST_KIND=" ".join(kinds)):
                return name
        return next((test for test in OTHERS if built(test) and fails(test, SGATLIN_TEST_OTHERS="1")), "")

    if seen_by([kind]) != "":
        sys.exit(f"mutants: a test fails on {kind} as it is")
    killed, alive, invalid = 0, 0, 0
    for f, (rule, i, what, lines) in todo:
        path = os.path.join(tree, f)
        original = open(path).read()
        try:
            open(path, "w").write("\n".join(lines))
            seen = seen_by(files[f])
        finally:
            open(path, "w").write(original)
        if seen is None:
            invalid += 1
        elif seen:
            killed += 1
        else:
            alive += 1
        if seen is not None:
            print(f"{'killed' if seen else 'ALIVE':7} {rule:9} {f}:{i + 1}: {what}{'  by ' + seen if seen else ''}", flush=True)
    print(f"{kind}: {killed + alive} mutants, {killed} killed, {alive} alive ({invalid} more did not compile)")
    sys.exit(1 if alive else 0)


main()
