#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizer/: what Hugging Face's BERT tokenizer makes of a set of invented texts, and of each code point.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3
    venv/bin/python scripts/make_tokenizer_fixtures.py

The reference is BertTokenizerFast (the only BERT tokenizer of transformers 5). The slow
BertTokenizer of transformers 4 differs where it normalises to NFC first, lower-cases before it strips accents, and knows a final sigma.
"""
import collections
import itertools
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "tokenizer"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "",
    " ",
    "The lamplighter's ladder leaned on a shop-window; nobody moved it.",
    "A new STORE opened beside the New store, didn't it?",
    "Prices rose 3.5% (from $12,000 to $12,420) -- see p. 7/8 & note #4...",
    "user_name@example.org, C++20 <tag> [x] {y} ~z^2 `code` \\path|pipe",
    "naïve café, CAFÉ, cafe\u0301, Ångström, A\u030angstro\u0308m, Dvořák, São Paulo",
    "Grüße aus Köln, ÜBER die Straße: ẞ und ß, ﬁn ﬂ",
    "İstanbul'da IĞDIR, ılık İğne; i\u0307",
    "Ελλάδα ΟΔΥΣΣΕΥΣ σοφός Ά ΐ ᾳ ᾼ;\u037e \u0387",
    "Ёлка и йод: МОСКВА, чай; и\u0306 е\u0308, Ѳ҃",
    "北京下雨了，我买了三本书。",
    "我在store买了iPhone手机abc汉字def。",
    "㐀㐁 𠀀𠀁 𪜀 𫝀 𫠠 豈更 丽丸 \u2f00\u3007\u3400",
    "東京タワーへ行きました。ｶﾀｶﾅ ＦＵＬＬ ｗｉｄｔｈ がぎぐ か\u3099",
    "서울에 비가 옵니다. 한국어 \u1112\u1161\u11ab",
    "ประเทศไทยอากาศร้อนมาก น้ำ",
    "مَرْحَبًا بالعالم، كيف الحال؟ ٣٤٥",
    "שָׁלוֹם עולם, \u05d0\u05b0\u05d1",
    "नमस्ते दुनिया। क़ की कि",
    "বাংলা ভাষা, தமிழ் மொழி, తెలుగు",
    "Tiếng Việt có nhiều dấu: ĐƯỜNG ẩm ướt ẵ ỹ",
    "tab\tand\nnewline\rand\r\nboth\x0bvertical\x0cfeed",
    "control\x00null\x01one\x07bell\x1besc\x7fdel\x85next\x9fend",
    "soft\u00adhyphen zero\u200bwidth\u200cnon\u200djoiner \ufeffmark \u2060word",
    "nbsp\u00a0thin\u2009em\u2003ideographic\u3000line\u2028paragraph\u2029ogham\u1680medium\u205fnarrow\u202f",
    "left\u200eright\u200f embed\u202a\u202c isolate\u2066\u2069 \ufffdreplacement \ufffcobject",
    "smile 😀 family 👨‍👩‍👧‍👦 flag 🇩🇪 thumbs 👍🏽 heart ❤\ufe0f keycap 1\ufe0f\u20e3",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒎𝒂𝒕𝒉 𐐀𐐨 𞤀𞤢 𝟘𝟙 \U0001d15e\U0001d160",
    "≠ ≤ ∑ √2 × ÷ ± ∞ ½ ² ™ © ° € £ ¥ ¢ ¬ ¦",
    "“quoted” ‘single’ «guillemets» „low“ – en — em … • † ‡ § ¶ ¿qué? ¡sí!",
    "a\u0301\u0327\u0308b\u0334\u0345c\u20ddd \u0301 \u0301\u0301 e\u1ab0",
    "\u0300\u0316 leading, \u1b44\u0334 \u302e\u302f\u0300 \U0001d165\U0001d16d\u0300",
    "[MASK] [CLS] [SEP] [PAD] [UNK] [mask] [ MASK ] x[MASK]y",
    "##ing ## # ### a##b",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "q" * 99 + " " + "q" * 100 + " " + "q" * 101,
    "é" * 100 + " " + "é" * 101 + " e\u0301" * 2,
    "unbelievable lampposts windowless storekeepers reopened",
    "zażółć gęślą jaźń ŁÓDŹ ţăţă çırak ñandú œuvre Æther ðþ",
    "\u180e\u061c\u06dd\u08e2\u0890\U000110bd\U000110cd\U00013430 \ue000private\U000f0000 \u0378unassigned\ufffe",
    "Ⅷ ⅷ Ⓐ ⓐ ǅ ǆ Ǆ K Å Ω \u1c89\ua7cb\U00010d50\U00016ea0",
    "one,two;three:four!five?six.seven'eight\"nine(ten)eleven",
    "end with space ",
    "   many    spaces   ",
]


def bert_normalizer(lowercase, strip_accents, split_chinese):
    return normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase)


def vocabulary():
    """Characters of the texts (each seventh is left out, so that there are unknown words) and their commonest short pieces."""
    starts, inside, pieces = set(), set(), collections.Counter()
    for flags in itertools.product([False, True], repeat=3):
        normalizer, split = bert_normalizer(*flags), pre_tokenizers.BertPreTokenizer()
        for text in TEXTS:
            for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text)):
                starts.add(word[0])
                inside.update(word[1:])
                for length in (2, 3, 4, 5):
                    pieces.update(("##" if i else "") + word[i:i + length] for i in range(len(word) - length + 1))
    keep = lambda characters: [c for i, c in enumerate(sorted(characters)) if c.isascii() or i % 7]
    common = sorted((p for p, n in pieces.items() if n >= 8 and len(set(p)) > 1), key=lambda p: (-pieces[p], p))[:700]
    tokens = SPECIALS + keep(starts) + ["##" + c for c in keep(inside)]
    return tokens + [p for p in common if p not in set(tokens)]


def make(tokens, flags):
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = bert_normalizer(*flags)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def encodings(tokens):
    variants = []
    for flags in itertools.product([False, True], repeat=3):
        tokenizer = make(tokens, flags)
        tokenizer.encode_special_tokens = True
        plain = [tokenizer.encode(text).ids for text in TEXTS]
        tokenizer.encode_special_tokens = False
        special = [tokenizer.encode(text).ids for text in TEXTS]
        variants.append({
            "lowercase": flags[0], "strip_accents": flags[1], "split_chinese": flags[2], "ids": plain,
            "ids_with_specials": {str(i): s for i, (p, s) in enumerate(zip(plain, special)) if p != s},
            "decoded": [tokenizer.decode(ids, skip_special_tokens=False) for ids in plain] if flags == (True, True, True) else [],
        })
    return variants


def fnv1a(text, value):
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def code_points():
    """A hash per 4096 code points c (surrogates left out) over the words of "a", c, "b", each word followed by a line end."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    variants = []
    for lowercase, strip_accents in itertools.product([False, True], repeat=2):
        normalize = bert_normalizer(lowercase, strip_accents, True).normalize_str
        hashes = []
        for begin in range(0, 0x110000, 4096):
            value = 0xCBF29CE484222325
            for c in range(begin, begin + 4096):
                if not 0xD800 <= c < 0xE000:
                    value = fnv1a("".join(w + "\n" for w, _ in split(normalize("a" + chr(c) + "b"))), value)
            hashes.append(f"{value:016x}")
        variants.append({"lowercase": lowercase, "strip_accents": strip_accents, "hashes": hashes})
    return variants


def write(name, content):
    with open(FOLDER / name, "w", encoding="utf-8", newline="\n") as file:
        json.dump(content, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    made_with = f"scripts/make_tokenizer_fixtures.py, tokenizers {tokenizers.__version__}"
    tokens = vocabulary()
    write("bert_ids.json", {"made_with": made_with, "vocabulary": tokens, "texts": TEXTS, "variants": encodings(tokens)})
    write("code_points.json", {"made_with": made_with, "variants": code_points()})


main()
