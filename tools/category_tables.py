#!/usr/bin/env python3
"""Writes src/text/category_tables.h: what the splits of other libraries' tokenizers know of Unicode besides letters and numbers.

  pip install unicodedata2==16.0.0 tokenizers==0.23.3 && python3 tools/category_tables.py > src/text/category_tables.h

Run by Python 3.11, whose own unicodedata is Unicode 14.0, as PCRE2 10.42 is. Hugging Face's patterns are matched by Unicode 16.0: a
character that is of another category there is shown to PCRE2 as one of that category and of the same number of bytes that both
versions know. Word characters (Rust's \\w) come from perl's Unicode 14.0 and, for younger ones, from their categories. What the parts Digits and Punctuation take (Unicode 17.0 and 8.0) is asked of the library itself.
"""
import subprocess
import sys
import unicodedata as old
import unicodedata2 as new
from tokenizers import pre_tokenizers

from c_tables import ranges, table

if (old.unidata_version, new.unidata_version) != ("14.0.0", "16.0.0"):
    sys.exit(f"needs Python of Unicode 14.0.0 and unicodedata2 16.0.0, found {old.unidata_version} and {new.unidata_version}")
code = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
perl = 'no warnings; for (0..0x10FFFF) { print "$_\\n" if !($_ >= 0xD800 && $_ < 0xE000) && chr =~ /\\w/u }'
word = set(map(int, subprocess.run(["perl", "-e", perl], capture_output=True, text=True, check=True).stdout.split()))


def same_length(c, category):
    """A character of the category in both versions and of c's bytes; none of a script of case pairs where others are there."""
    n = len(chr(c).encode())
    for d in code:
        if d > 0xFF and len(chr(d).encode()) == n and old.category(chr(d)) == new.category(chr(d)) == category:
            return d
    sys.exit(f"no character like U+{c:04X} ({category}) of {n} bytes")


stands, known = [], {}
for c in code:
    a, b = old.category(chr(c)), new.category(chr(c))
    if c == 0x180E:  # white space to PCRE2 alone
        b = "Cf"
    elif a == b:
        stands.append((c, None))
        continue
    key = (b, len(chr(c).encode()))
    if key not in known:
        known[key] = 0x200B if c == 0x180E else same_length(c, b)
    stands.append((c, known[key]))
young = {c for c in code if old.category(chr(c)) == "Cn" and new.category(chr(c)) != "Cn"}
for c in young:
    g = new.category(chr(c))
    if g[0] in "LM" or g in ("Nd", "Nl", "Pc"):
        word.add(c)


def taken(part):
    return {c for c in code if len(part.pre_tokenize_str(f"x{chr(c)}x")) == 3}


digits = taken(pre_tokenizers.Digits(individual_digits=True))
punctuation = taken(pre_tokenizers.Punctuation(behavior="isolated"))


print("/* Made by tools/category_tables.py: do not edit. */\n#ifndef SGI_CATEGORY_TABLES_H\n#define SGI_CATEGORY_TABLES_H\n")
print("#include <stdint.h>")
table("stand_ins[][3]", "first, last, and the character of their category in Unicode 16.0 that Unicode 14.0 has too",
      [f"{{0x{a:X}, 0x{b:X}, 0x{v:X}}}" for a, b, v in ranges(stands)])
table("word_ranges[][2]", "Unicode 16.0: \\w, letters, marks, numbers in words and what joins them",
      [f"{{0x{a:X}, 0x{b:X}}}" for a, b, _ in ranges((c, 1 if c in word else None) for c in code)])
for name, comment, members in (("digit", "what Digits takes", digits), ("punctuation", "what Punctuation takes", punctuation)):
    table(f"{name}_ranges[][2]", comment, [f"{{0x{a:X}, 0x{b:X}}}" for a, b, _ in ranges((c, 1 if c in members else None) for c in code)])
print("\n#endif")
