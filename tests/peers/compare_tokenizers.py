#!/usr/bin/env python3
"""Ids of `sgatlin tokenizer encode` against Hugging Face's library, by hand, in an environment that has it:

    pip install tokenizers==0.23.3
    python3 tests/peers/compare_tokenizers.py build/sgatlin [--lines 100000] [--seed 1] [--form NAME]... [--golden DIR]

Tokenizers of the forms that today's models have (the splits of cl100k, o200k, Llama 3, Qwen2, DeepSeek, SmolLM, ..., and every option on its
own) are trained here on a small text, so no model's files are needed. Lines: real text of the golden folder, words and noise of all scripts,
characters of every category and version, white space, contractions, added tokens in all surroundings. --golden writes each form's
tokenizer.json and a few lines with their ids, which `make test` reads (tests/golden/tokenizer-forms).
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join((
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"))
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def level(prefix=False, regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def bos(after=True):
    t = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", 0)])
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), t]) if after else t


def added(**flags):
    out = []
    for text in ("<x>", "word", "[é]", "ab", "Ａ1", "<x> y"):
        out.append(AddedToken(text, **{"normalized": False, "special": text == "<x>", **flags}))
    return out


# name: (normalizer, pre_tokenizer's parts, post_processor, added tokens, ignore_merges)
FORMS = {
    "gpt2": (None, [level(regex=True)], None, (), False),
    "gpt2-prefix-nfkc": (normalizers.NFKC(), [level(True, True)], None, (), False),
    "whole-text": (None, [level()], None, (), False),
    "cl100k": (None, [split(CL100K), level()], None, (), False),
    "cl100k-possessive": (None, [split(POSSESSIVE), level()], None, (), False),
    "cl100k-inverted": (None, [split(CL100K, "removed", True), level()], None, (), False),
    "llama3": (None, [split(CL100K), level()], bos(), (), True),
    "qwen2": (normalizers.NFC(), [split(QWEN2), level()], None, added(), False),
    "o200k": (None, [split(O200K), level()], bos(False), (), False),
    "deepseek": (normalizers.Sequence([]), [*map(split, DEEPSEEK), level()], None, (), False),
    "smollm": (None, [pre_tokenizers.Digits(individual_digits=True), level(regex=True)], None, (), False),
    "digits-together": (None, [pre_tokenizers.Digits(individual_digits=False), level(True, True)], None, (), False),
    "punctuation": (None, [pre_tokenizers.Punctuation("contiguous"), level(True)], None, (), False),
    "split-removed": (None, [split(r"\s+", "removed"), level(True)], None, (), False),
    "split-contiguous": (None, [split(r"[aeiou]", "contiguous"), level()], None, (), False),
    "split-previous": (None, [split(r"\p{P}", "merged_with_previous"), level()], None, (), False),
    "split-next": (None, [split(r"\d", "merged_with_next"), level()], None, (), False),
    "split-previous-inverted": (None, [split(r"\p{L}+", "merged_with_previous", True), level()], None, (), False),
    "split-empty": (None, [split(r"x*"), level()], None, (), False),
    "split-lines": (None, [split(r"^\p{Zs}+|(?<=\p{Ll})(?=\p{Lu})|\p{Zs}+$|[^\P{Sc}€]|a.b"), level()], None, (), False),
    "split-string": (None, [pre_tokenizers.Split(" .*", "isolated"), level()], None, (), False),
    "added-lstrip": (None, [split(CL100K), level()], None, added(lstrip=True), False),
    "added-rstrip": (normalizers.NFKC(), [level(True, True)], None, added(rstrip=True), False),
    "added-both": (None, [level(regex=True)], None, added(lstrip=True, rstrip=True, single_word=True), False),
    "added-single-word": (normalizers.NFC(), [split(QWEN2), level()], None, added(single_word=True), False),
    "added-normalized": (normalizers.NFKC(), [level(True, True)], None, added(normalized=True, single_word=True), False),
    "added-normalized-strip": (normalizers.NFKC(), [split(CL100K), level()], None, added(normalized=True, lstrip=True), False),
}


def train(name, texts):
    normalizer, parts, post, tokens, ignore = FORMS[name]
    t = Tokenizer(models.BPE())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = parts[0] if len(parts) == 1 else pre_tokenizers.Sequence(parts)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=560, special_tokens=["<|begin|>", "<|end|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(texts, trainer)
    if post:
        t.post_processor = post
    t.add_tokens([x for x in tokens if not x.special])
    t.add_special_tokens([x for x in tokens if x.special])
    file = json.loads(t.to_str())
    if ignore:
        file["model"]["ignore_merges"] = True
        file["model"]["merges"] = [m for i, m in enumerate(file["model"]["merges"]) if i % 5]
    return json.dumps(file, ensure_ascii=False, separators=(",", ":"))


# ---- lines -----------------------------------------------------------------------------------------------------------

SCRIPTS = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x590), (0x590, 0x600), (0x600, 0x700),
           (0x900, 0x980), (0xB80, 0xC00), (0xE00, 0xE80), (0x10A0, 0x1100), (0x1100, 0x1200), (0x13A0, 0x1400), (0x1780, 0x1800),
           (0x1800, 0x18B0), (0x1C80, 0x1CC0), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2200), (0x2460, 0x2500), (0x3000, 0x3100),
           (0x4E00, 0x9FFF), (0xA720, 0xA800), (0xAC00, 0xD7A4), (0xF900, 0xFB50), (0xFB50, 0xFDFF), (0xFF00, 0xFFEF), (0x10400, 0x10450),
           (0x10D40, 0x10D90), (0x11380, 0x113E3), (0x16D40, 0x16D7A), (0x1D400, 0x1D800), (0x1E900, 0x1E960), (0x1F300, 0x1F700),
           (0x20000, 0x20100), (0x2EBF0, 0x2EE5E), (0x31350, 0x323B0)]
WORDS = ("don't DON'T I'll we've they'RE it’s 's 'S 'ſ 'T 'll 'LL 'Ve 'm 'd HELLO HelloWorld helloWorld XMLHttp iPhone Ünïcödé "
         "naïve ﬁne e\u0301 A\u030A ǅ ʰ ª º Ⅷ ½ ² 12345 3.14159 1,000,000 0x1F a_b snake_case CamelCase ¡hola! ¿qué? «guillemets» ... "
         "-- === /* */ // \\n http://a.b/c?d=e&f=g user@example.com $5.00 €10 100% C++ #tag @name 你好世界 こんにちは カタカナ 안녕하세요 "
         "Привет мир שלום مرحبا नमस्ते สวัสดี Ελλάδα ქართული Հայերեն 👩‍👩‍👧 🇩🇪 👍🏽 ✨ \u200b \u200d \ufeff \u00a0 \u3000 \u2028 \u180e \x85 \x1c").split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "  \n  ", "\r", "\u00a0", "\u3000", "\x0b", "\x0c", "\u2028", "      "]
TOKENS = ["<x>", "word", "[é]", "[e\u0301]", "ab", "Ａ1", "A1", "<x> y", "<|begin|>", "<|end|>", "<|endof", "words", "sword", " <x> ", "\n<x>\n"]


def character(r):
    k = r.random()
    if k < 0.6:
        a, b = r.choice(SCRIPTS)
        return chr(r.randrange(a, b))
    if k < 0.9:
        return chr(r.randrange(0x80))
    while True:
        c = r.randrange(0x110000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def line(r, real):
    k = r.random()
    if k < 0.15:
        text = r.choice(real)
        a = r.randrange(len(text))
        return text[a:a + r.randrange(1, 200)]
    if k < 0.3:
        return "".join(character(r) for _ in range(r.randrange(1, 40)))
    if k < 0.45:
        a, b = r.choice(SCRIPTS)
        return "".join("".join(chr(r.randrange(a, b)) for _ in range(r.randrange(1, 9))) + r.choice(SPACES) for _ in range(r.randrange(1, 8)))
    if k < 0.5:
        return r.choice(["a", " ", "\n", "A", "1", "!", "é", "中", "\u0301", "'s", "<x>", "ab ", "aA", "1 "]) * r.randrange(1, 300)
    pieces = []
    for _ in range(r.randrange(1, 20)):
        k = r.random()
        pieces.append(r.choice(WORDS) if k < 0.5 else r.choice(SPACES) if k < 0.8 else r.choice(TOKENS) if k < 0.92 else character(r))
    return "".join(pieces)


def real_texts():
    out = []
    for name in ("bpe/stories.txt", "bpe/mixed.txt"):
        with open(os.path.join(GOLDEN, name), encoding="utf-8") as f:
            out += [x for x in f.read().split("<|endoftext|>") if x]
    return out


# ---- comparing ---------------------------------------------------------------------------------------------------------


def run(sgatlin, *arguments):
    p = subprocess.run([sgatlin, "tokenizer", *arguments], capture_output=True, encoding="utf-8")
    if p.returncode:
        sys.exit(f"{' '.join(arguments)}: exit code {p.returncode}: {p.stderr}")
    return [json.loads(x) for x in p.stdout.split("\n") if x]


def compare(sgatlin, name, lines, real, golden):
    file = train(name, real + [" ".join(WORDS)] * 3)
    t = Tokenizer.from_str(file)
    with tempfile.TemporaryDirectory() as d:
        path, texts, ids = (os.path.join(d, x) for x in ("tokenizer.json", "lines.jsonl", "ids.jsonl"))
        open(path, "w", encoding="utf-8").write(file)
        with open(texts, "w", encoding="utf-8") as f:
            f.writelines(json.dumps({"text": x}) + "\n" for x in lines)
        theirs = [e.ids for e in t.encode_batch(lines, add_special_tokens=False)]
        ours = [o["ids"] for o in run(sgatlin, "encode", "-T", path, "--jsonl", texts)]
        bad = [i for i, x in enumerate(theirs) if ours[i] != x]
        with open(ids, "w", encoding="utf-8") as f:
            f.writelines(json.dumps({"ids": x}) + "\n" for x in theirs)
        back = [o["text"] for o in run(sgatlin, "decode", "-T", path, "--jsonl", ids)]
        # The library decodes an added token's "é" as the byte that it names in the alphabet, and one that is "normalized" as its
        # normal form; ours decode to their content. Lines with such tokens are not compared.
        odd = {x["id"] for x in json.loads(file)["added_tokens"] if not x["content"].isascii()}
        decoded = [i for i, x in enumerate(t.decode_batch(theirs, skip_special_tokens=False)) if x != back[i] and not odd & set(theirs[i])]
    print(f"{name}: {len(lines)} lines, {sum(map(len, theirs))} ids, {len(bad)} lines differ, {len(decoded)} decode otherwise", flush=True)
    for i in bad[:3]:
        print(f"  {lines[i]!r}\n    theirs {[t.id_to_token(x) for x in theirs[i]]}\n    ours   {[t.id_to_token(x) for x in ours[i]]}")
    for i in decoded[:3]:
        print(f"  {theirs[i]}\n    theirs {t.decode(theirs[i], skip_special_tokens=False)!r}\n    ours   {back[i]!r}")
    if golden:
        os.makedirs(golden, exist_ok=True)
        open(os.path.join(golden, name + ".json"), "w", encoding="utf-8").write(file)
        with open(os.path.join(golden, name + ".jsonl"), "w", encoding="utf-8") as f:
            chosen = [i for i in range(len(lines)) if len(lines[i]) < 120][:80]
            f.writelines(json.dumps({"text": lines[i], "ids": theirs[i]}, ensure_ascii=False, separators=(",", ":")) + "\n" for i in chosen)
    return len(bad) + len(decoded)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sgatlin")
    p.add_argument("--lines", type=int, default=100000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--form", action="append", choices=list(FORMS))
    p.add_argument("--golden")
    a = p.parse_args()
    r, real = random.Random(a.seed), real_texts()
    lines = [line(r, real) for _ in range(a.lines)]
    lines += ["x" + chr(c) + "y " + chr(c) + chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Co", "Cs", "Cn")][::7]
    lines += ["".join(lines[i:i + 200]) for i in range(0, min(len(lines), 40000), 200)]  # longer than a search looks at once
    lines += [x * 20000 for x in ("a", " ", "\n", "A", "1", "!", "é", "中", "aA", "1 ", "ab! ", "  x")]
    bad = sum(compare(a.sgatlin, name, lines, real, a.golden) for name in a.form or FORMS)
    sys.exit(f"{bad} differences" if bad else 0)


if __name__ == "__main__":
    main()
