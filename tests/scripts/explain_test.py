"""Tests of scripts/explain.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import explain

HEADER = "layer,head,term,query,key,query_token,key_token,value\n"


def rows(term, values):
    tokens = ["猫", '","']
    return "".join(f"1,0,{term},{query},{key},{tokens[query]},{tokens[key]},{value}\n"
                   for query, line in enumerate(values) for key, value in enumerate(line))


class ExplainTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="explain test 图 ")
        self.addCleanup(self.folder.cleanup)
        self.full = (HEADER + rows("content", [[1, 2], [3, 4]]) + rows("alibi bias", [[0, -1e9], [-1, 0]]) + rows("sum", [[1, -1e9], [2, 4]]) +
                     rows("score", [[1, "-inf"], [2, 4]]) + rows("weight", [[1, 0], [0.2, 0.8]]) + rows("added", [[1, 0], [1, 1]]))

    def explain(self, text, *arguments):
        path = pathlib.Path(self.folder.name, "terms.csv")
        path.write_text(text, encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = explain.main([str(path), *arguments])
        return code, out.getvalue().strip(), err.getvalue()

    def test_picture_stands_beside_the_file(self):
        code, out, err = self.explain(self.full)
        self.assertEqual(code, 0, err)
        self.assertEqual(pathlib.Path(out).read_bytes()[:4], b"\x89PNG")
        self.assertEqual(pathlib.Path(out).name, "terms.png")

    def test_terms_are_read_as_queries_by_keys(self):
        self.explain(self.full)
        terms = explain.read_terms(pathlib.Path(self.folder.name, "terms.csv"))
        self.assertEqual(terms.matrix("content"), [[1, 2], [3, 4]])
        self.assertEqual([terms.tokens[0], terms.tokens[1]], ["猫", ","])
        self.assertEqual(explain.shown_terms(terms), ["content", "alibi bias", "sum", "score", "weight"])

    def test_a_sum_that_is_the_score_is_drawn_once(self):
        text = HEADER + "".join(rows(term, [[1, 2], [3, 4]]) for term in ["content", "sum", "score", "weight"])
        self.explain(text)
        self.assertEqual(explain.shown_terms(explain.read_terms(pathlib.Path(self.folder.name, "terms.csv"))), ["content", "weight"])

    def test_errors_name_the_file_and_what_is_wrong(self):
        for text, part in [("a,b\n1,2\n", "is no file of `locus explain --csv`"), ("", "is no file of"),
                           (HEADER + "1,0,content,0,0,a,a,x\n", "line 2: "), (HEADER + rows("content", [[1, 2], [3, 4]]), "rows are missing")]:
            code, out, err = self.explain(text)
            self.assertEqual((code, out), (1, ""))
            self.assertIn(part, err)
        code, _, err = self.explain(self.full, "-o", str(pathlib.Path(self.folder.name, "x.nothing")))
        self.assertEqual(code, 1)
        self.assertIn("cannot write the picture", err)


if __name__ == "__main__":
    unittest.main()
