"""Tests of scripts/compare_tokenizer_speed.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import compare_tokenizer_speed

# Stands for `locus`: encodes a line as its number of bytes, in the seconds that it claims to have taken.
LOCUS = """#!/bin/sh
echo "locus $1 $2" >> "{log}"
case "$1" in --version) echo "locus 0.1"; exit;; train) mkdir -p "$LOCUS_CACHE/synthetic/1"; echo abc > "$LOCUS_CACHE/synthetic/1/train.txt"; exit;; esac
if [ "$2" = train ]; then
    for folder; do :; done
    mkdir "$folder"; printf 'a\\nb\\nc\\n' > "$folder/vocab.txt"
    [ -e "{silent}" ] || echo "time               0.500 s, 2.0 MB/s with 1 thread"
else
    case "$*" in
        *--ids*) awk '{{ print length($0) ? length($0) : "" }}';;
        *) printf 'text               2 bytes in 1 lines\\ntime               0.250 s, 2.0 MB/s with 1 thread\\n';;
    esac
fi
"""
# Stands for the python that has tokenizers; the ids go into the file that is named last.
PEER = """#!/bin/sh
echo "peer $2" >> "{log}"
for output; do :; done
case "$2 $*" in
    train*) printf 'b\\nc\\nd\\n' > "$output";;
    *--output*) {ids} > "$output";;
esac
echo '{{"seconds": 2.0, "user_seconds": 1.5, "version": "9.9"}}'
"""


class CompareTokenizerSpeedTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tokenizer speed ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.text = self.folder / "some text.txt"
        self.text.write_text("abc\n\nab\n")
        self.log = self.folder / "log"
        self.write("locus", LOCUS.format(log=self.log, silent=self.folder / "silent"))
        self.write("python", PEER.format(log=self.log, ids="printf '3\\n2\\n'"))

    def write(self, name, program):
        path = self.folder / name
        path.write_text(program)
        path.chmod(0o755)

    def compare(self, *arguments):
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = compare_tokenizer_speed.main(["--locus", str(self.folder / "locus"), "--python", str(self.folder / "python"), *arguments])
        return code, out.getvalue(), error.getvalue()

    def test_ratios_are_of_the_seconds_that_the_programs_tell(self):
        code, out, error = self.compare(str(self.text), "--types", "wordpiece")
        self.assertEqual(code, 0, error)
        rows = [line.split("|") for line in out.splitlines() if line.startswith("|")][2:]
        self.assertEqual([cells[4].strip() for cells in rows], ["Locus", "tokenizers"] * 2)
        self.assertEqual([cells[3].strip() for cells in rows], ["training", "", "encoding", ""])
        self.assertEqual([cells[7].strip() for cells in rows], ["**4.0**", "1", "**8.0**", "1"])
        self.assertEqual([cells[6].strip() for cells in rows][1::2], ["1.50", "1.50"])
        self.assertIn("locus 0.1, tokenizers 9.9; 3 rounds", out)
        self.assertIn("The ids of 2 lines are the same in both.", out)
        self.assertIn("wordpiece: 2 of 3.", out)

    def test_programs_take_turns(self):
        code, _, error = self.compare(str(self.text), "--types", "wordpiece", "--rounds", "2")
        self.assertEqual(code, 0, error)
        turn = ["locus tokenizer train", "peer train", "locus tokenizer encode", "peer encode"]
        logged = self.log.read_text().splitlines()[:8]
        self.assertEqual(logged, turn * 2)

    def test_bytes_are_only_encoded(self):
        code, out, error = self.compare(str(self.text), "--types", "bytes")
        self.assertEqual(code, 0, error)
        self.assertNotIn("training", out)
        self.assertNotIn("both learnt", out)

    def test_without_a_text_both_languages_of_the_synthetic_corpus_are_taken(self):
        self.write("python", PEER.format(log=self.log, ids="echo 3"))
        code, out, error = self.compare("--types", "bytes", "--rounds", "1")
        self.assertEqual(code, 0, error)
        self.assertIn("| synthetic english, 0.0 MB | bytes | encoding |", out)
        self.assertIn("| synthetic chinese, 0.0 MB | bytes | encoding |", out)

    def test_other_ids_are_an_error(self):
        self.write("python", PEER.format(log=self.log, ids="printf '3\\n7\\n'"))
        code, out, error = self.compare(str(self.text), "--types", "bytes")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("the ids of line 2 (blank ones not counted) differ:\n2\n7", error)

    def test_fewer_lines_are_an_error(self):
        self.write("python", PEER.format(log=self.log, ids="echo 3"))
        code, _, error = self.compare(str(self.text), "--types", "bytes")
        self.assertEqual(code, 1)
        self.assertIn("2 lines with ids, and 1 of the peer", error)

    def test_a_program_without_a_time_is_an_error(self):
        (self.folder / "silent").touch()
        code, _, error = self.compare(str(self.text), "--types", "wordpiece")
        self.assertEqual(code, 1)
        self.assertIn("printed no time", error)

    def test_a_program_that_fails_is_told_with_its_last_words(self):
        self.write("python", "#!/bin/sh\necho 'no module named tokenizers' >&2\nexit 1\n")
        code, _, error = self.compare(str(self.text), "--types", "bytes")
        self.assertEqual(code, 1)
        self.assertIn("ended with code 1: no module named tokenizers", error)

    def test_a_text_that_is_missing_is_an_error(self):
        code, _, error = self.compare(str(self.folder / "absent.txt"), "--types", "bytes")
        self.assertEqual(code, 1)
        self.assertIn("absent.txt", error)


if __name__ == "__main__":
    unittest.main()
