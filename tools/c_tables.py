"""Tables of C from values of all code points: for category_tables.py and unicode_tables.py."""


def ranges(rows):
    """[first, last, value] of runs of equal value that is neither None nor 0, from (code point, value) in order."""
    out = []
    for c, v in rows:
        if not v:
            continue
        if out and out[-1][1] == c - 1 and out[-1][2] == v:
            out[-1][1] = c
        else:
            out.append([c, c, v])
    return out


def table(name, comment, rows):
    """Prints an array of uint32_t; name holds its brackets, rows the text of each entry."""
    print(f"\n/* {comment} */\nstatic const uint32_t {name} = {{")
    line = " "
    for row in rows:
        if len(line) + len(row) > 108:
            print(line)
            line = " "
        line += " " + row + ","
    print(line.rstrip(",") + "};")
