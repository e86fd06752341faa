#!/usr/bin/env python3
"""Writes data/character_class_tables.h: the character classes of Hugging Face's BERT tokenizer, asked of the library itself.

The library's tables are frozen at Unicode 8 (classes) and 9 (decompositions), its lower case is that of the Rust compiler it
was built with. Asking it about each of the 1,112,064 code points gives ids that are equal for every text, and that do not
change with the utf8proc that happens to be installed.

Made with tokenizers 0.23.3 (0.22.2 gives the same bytes):   python3 scripts/make_character_tables.py > data/character_class_tables.h
"""
import unicodedata

from tokenizers import normalizers, pre_tokenizers


def bert(**flags):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **flags}).normalize_str


CLEAN, CHINESE, STRIP, LOWER = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True), bert(lowercase=True)
NFD = normalizers.NFD().normalize_str
SPLIT = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
BELOW, ABOVE = "\u0334", "\u0345"  # marks of combining class 1 and 240


def is_combining(c):
    """True when canonical ordering moves the character, so that its combining class is not 0."""
    s = chr(c)
    return NFD("a" + s + BELOW) == "a" + BELOW + s or (s != ABOVE and NFD("a" + ABOVE + s) == "a" + s + ABOVE)


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def newer_lower_case():
    """[first, last, lower case minus upper case] of the letters that Python's Unicode does not know yet."""
    out = []
    for c in POINTS:
        low = LOWER(chr(c))
        if low == chr(c) or unicodedata.category(chr(c)) != "Cn":
            continue
        offset = ord(low) - c
        if out and out[-1][1] == c - 1 and out[-1][2] == offset:
            out[-1][1] = c
        else:
            out.append([c, c, offset])
    return out


def show(name, kind, rows, what):
    print(f"\n// {what}\nconstexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(hex(x) if i < 2 else str(x) for i, x in enumerate(row)) + "},"
        if len(line) + len(item) > 118:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


def main():
    marks = [c for c in POINTS if STRIP(chr(c)) == "" and NFD(chr(c)) == chr(c)]
    words = {c: [word for word, _ in SPLIT("a" + chr(c) + "a")] for c in POINTS}
    is_mark = set(marks)
    print("#pragma once\n// Made by scripts/make_character_tables.py; not to be edited by hand.\n\n#include \"data/character_class.h\"\n")
    print("namespace locus::tables {")
    show("removed", "Range", ranges(c for c in POINTS if CLEAN(chr(c)) == ""), "What clean_text removes.")
    show("space", "Range", ranges(c for c in POINTS if words[c] == ["a", "a"]), "White space.")
    show("chinese", "Range", ranges(c for c in POINTS if CHINESE(chr(c)) != chr(c)), "What tokenize_chinese_chars splits.")
    show("punctuation", "Range", ranges(c for c in POINTS if len(words[c]) == 3), "A word of its own.")
    show("accent", "Range", ranges(marks), "What strip_accents drops (non-spacing marks).")
    show("combining", "Range", ranges(c for c in POINTS if c not in is_mark and NFD(chr(c)) == chr(c) and is_combining(c)),
         "Not dropped by strip_accents, but moved by canonical ordering.")
    show("astral_decomposition", "Range", ranges(c for c in POINTS if c >= 0x10000 and NFD(chr(c)) != chr(c)),
         "Above U+FFFF: what NFD takes apart. Below, decompositions are complete in any utf8proc.")
    show("newer_lower_case", "Shift", newer_lower_case(), "Capitals that utf8proc may not know yet, and the distance to their small letters.")
    print("\n}  // namespace locus::tables")


main()
