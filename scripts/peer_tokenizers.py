#!/usr/bin/env python3
"""Trains and uses the tokenizers of Locus in Hugging Face's library `tokenizers`, on one thread, and prints one line of JSON: the peer of
compare_tokenizer_speed.py.

    python peer_tokenizers.py train wordpiece --vocab-size 8192 --text text.txt --output vocab.txt
    python peer_tokenizers.py encode FOLDER --text text.txt --output ids.txt

The time is that of the library alone: text is in memory before, what it made is written afterwards. Of the ways to hand text over the faster ones
are taken (an iterator of lines for training, encode_batch_fast in batches for encoding). Needs tokenizers 0.21 or newer.
"""

import argparse
import json
import os
import pathlib
import resource
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BATCH = 100  # lines


class Stopwatch:
    """Seconds, and seconds of the processor in user mode, of what is done inside."""

    def __enter__(self):
        self.begin, self.user_begin = time.perf_counter(), self.user_now()
        return self

    def __exit__(self, *_):
        self.seconds, self.user_seconds = time.perf_counter() - self.begin, self.user_now() - self.user_begin

    @staticmethod
    def user_now():
        return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def untrained(kind, vocab_size):
    """(tokenizer, its trainer), as `locus tokenizer train --type KIND --character-coverage 1` has them."""
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer, trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=SPECIALS, show_progress=False)
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return tokenizer, trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=SPECIALS, show_progress=False)


def train(options, lines):
    tokenizer, trainer = untrained(options.kind, options.vocab_size)
    with Stopwatch() as watch:
        tokenizer.train_from_iterator(lines, trainer)
    by_id = sorted((id, token) for token, id in tokenizer.get_vocab().items())
    return watch, (token for _, token in by_id)


def encode(options, lines):
    tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
    with Stopwatch() as watch:
        for begin in range(0, len(lines), BATCH):
            tokenizer.encode_batch_fast(lines[begin:begin + BATCH], add_special_tokens=False)
    if not options.output:
        return watch, None
    encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
    return watch, (" ".join(map(str, encoding.ids)) for encoding in encodings)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("kind", choices=["wordpiece", "characters"])
    training.add_argument("--vocab-size", type=int, default=8192)
    training.set_defaults(run=train)
    encoding = commands.add_parser("encode")
    encoding.add_argument("folder", type=pathlib.Path, help="with a tokenizer.json")
    encoding.set_defaults(run=encode)
    for command in (training, encoding):
        command.add_argument("--text", type=pathlib.Path, required=True, help="UTF-8")
        command.add_argument("--output", type=pathlib.Path, help="for the vocabulary, or for the ids of each line that is not blank")
    options = parser.parse_args()

    text = options.text.read_bytes().decode("utf-8")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines if line]
    watch, output = options.run(options, lines)
    if options.output:
        options.output.write_text("".join(line + "\n" for line in output), encoding="utf-8")
    print(json.dumps({"seconds": watch.seconds, "user_seconds": watch.user_seconds, "version": tokenizers.__version__}))


if __name__ == "__main__":
    main()
