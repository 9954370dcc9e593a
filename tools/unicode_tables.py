#!/usr/bin/env python3
"""Writes src/text/unicode_tables.h: the few Unicode tables that fix which versions the tokenizer follows.

  pip install unicodedata2==16.0.0 && python3 tools/unicode_tables.py > src/text/unicode_tables.h

Hugging Face's tokenizers normalise by Unicode 9.0 but split by the categories of Unicode 16.0. What a character of 9.0
decomposes to never changes in later versions (Unicode's stability policy), so utf8proc of any version can do that; the tables
say which characters 9.0 touches at all. Which characters are that old comes from perl (Present_In).
"""
import subprocess
import sys
import unicodedata2 as u

from c_tables import ranges, table

if u.unidata_version != "16.0.0":
    sys.exit("needs unicodedata2 16.0.0, found " + u.unidata_version)
LAST = 0x110000
WHITE_SPACE = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
code = [c for c in range(LAST) if not 0xD800 <= c < 0xE000]
age = 'no warnings; for (0..0x10FFFF) { print "$_\\n" if !($_ >= 0xD800 && $_ < 0xE000) && chr =~ /\\p{Present_In=9.0}/ }'
old = set(map(int, subprocess.run(["perl", "-e", age], capture_output=True, text=True, check=True).stdout.split()))


def letter_or_number(c):
    g = u.category(chr(c))[0]
    return 1 if g == "L" else 2 if g == "N" else 3 if c in white else 0


white = set(WHITE_SPACE)
seconds, firsts = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3)), set(range(0x1100, 0x1113)) | set(range(0xAC00, 0xD7A4))
for c in old:
    d = u.decomposition(chr(c)).split()
    if not d or d[0].startswith("<"):
        continue
    if len(d) == 2 and u.normalize("NFC", "".join(chr(int(x, 16)) for x in d)) == chr(c):
        firsts |= {c, int(d[0], 16)}
        seconds.add(int(d[1], 16))
active = {c for c in old if u.combining(chr(c)) or c in seconds or u.normalize("NFKC", chr(c)) != chr(c)}


print("/* Made by tools/unicode_tables.py: do not edit. */\n#ifndef SGI_UNICODE_TABLES_H\n#define SGI_UNICODE_TABLES_H\n")
print("#include <stdint.h>")
# 21 bits of code point and 2 of class fit a word; each row opens a range and the next row (perhaps of class 0) ends it
starts, end = [], 0
for a, b, v in ranges((c, letter_or_number(c)) for c in range(LAST) if c in white or not 0xD800 <= c < 0xE000):
    if a > end:
        starts.append(end << 2)
    starts.append(a << 2 | v)
    end = b + 1
starts.append(end << 2)
table("class_starts[]", "Unicode 16.0: first code point of a run << 2 | class: 0 other, 1 letter, 2 number, 3 white space",
      [f"0x{x:X}" for x in starts])
for name, comment, members in (
        ("active", "Unicode 9.0: code points that NFKC changes, reorders or may join to the one before", active),
        ("base", "Unicode 9.0: other code points that may join to one behind", firsts - active)):
    r = ranges((c, c in members) for c in code)
    table(f"{name}_ranges[][2]", comment, [f"{{0x{a:X}, 0x{b:X}}}" for a, b, _ in r])
print("\n#endif")
