"""Tests of scripts/report.py and its pages: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import math
import pathlib
import re
import sys
import tempfile
import unittest

import pandas
import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report
from reporting import choose, curve_sections, figures, measured, notes, page, wording
from reporting.results import ClaimResult, CriterionResult
from tiny_comparison import TinyComparison

LOSSES = {"none": 2.8, "absolute": 2.0, "rope": 1.9, "shallow": 2.75}
STEPS = {"none": 0, "absolute": 0.9, "rope": 0.04, "shallow": 0.0}  # delta for each doubling of the length
METRICS = ("step,tokens,epoch,split,loss,masked_accuracy\n"
           "0,0,0,valid,5.5,0\n5,500,1,train,9.9,\n5,500,1,valid,3.25,0.1\n10,1000,2,valid,{},0.2\n")
CLAIMS = {
    "level": 0.05, "gate": 0.1, "scheme": "centred", "blocks": {"english": "none"},
    "claims": [
        {"id": "R1", "of": ["001-1"], "claim": {"en": "Order matters | to all.", "zh": "顺序很重要。"},
         "criteria": [{"name": "positions help", "test": "mean", "above": 0.2,
                       "quantity": "loss(english/none, 32) - loss(english/absolute, 32)"}],
         "proved_by": ["Encodings.Permuted"]},
        {"id": "R2", "of": ["001-2"], "claim": {"en": "It <needs> a GPU.", "zh": "需要 GPU。"}, "needs": "cuda"},
        {"id": "R3", "claim": {"en": "A run is lost.", "zh": "有一次训练失败。"},
         "criteria": [{"name": "lost", "test": "mean", "quantity": "loss(english/lost, 32)", "above": 0}]},
    ],
}
NOTE = {
    "note": "001", "title": {"en": "A note", "zh": "一篇笔记"}, "about": {"en": "About it.", "zh": "关于它。"},
    "claims": [
        {"id": "001-1", "kind": "claim", "verdict": "R1", "says": {"en": "Order matters.", "zh": "顺序重要。"},
         "really": {"en": "Yes.", "zh": "对。"}, "tested": {"en": "By training.", "zh": "通过训练。"}},
        {"id": "001-2", "kind": "mechanism", "verdict": ["R1", "R2"], "says": {"en": "a", "zh": "甲"},
         "really": {"en": "b", "zh": "乙"}, "tested": {"en": "c", "zh": "丙"}},
        {"id": "001-3", "kind": "warning", "verdict": {"test": ["Suite.Name"], "says": "refuted"},
         "says": {"en": "a", "zh": "甲"}, "really": {"en": "b", "zh": "乙"}, "tested": {"en": "c", "zh": "丙"}},
        {"id": "001-4", "kind": "system", "verdict": {"definition": {"en": "A name.", "zh": "一个名称。"}},
         "says": {"en": "a", "zh": "甲"}, "really": {"en": "b", "zh": "乙"}, "tested": {"en": "c", "zh": "丙"}},
    ],
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, allow_unicode=True), encoding="utf-8")
    return path


def write_comparison(folder, seeds=(1, 2, 3)):
    """Four runs of text, of which `shallow` does not pass the gate, and one run that diverged."""
    tiny = TinyComparison()
    for run, loss in LOSSES.items():
        for policy in ("clip", "tile") if run == "absolute" else ("",):
            step = STEPS[run] * (0.5 if policy == "tile" else 1)
            by_seed = {seed: {length: loss + 0.01 * seed + (1 + 0.1 * seed) * step * math.log2(length / 32)
                              for length in (32, 64, 128)} for seed in seeds}
            tiny.add_losses("english", run, by_seed, beyond=policy, done=policy != "tile")
        for seed in seeds:
            write(folder / "english" / run / f"seed-{seed}" / "metrics.csv", METRICS.format(loss + 0.01 * seed))
    tiny.add_run("english", "lost", 1, status="diverged", reason="the loss became nan at step 7")
    tiny.write(folder)
    return folder


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="report test 图 ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.runs = write_comparison(self.folder / "tiny")
        self.claims = write(self.folder / "claims.yaml", CLAIMS)
        self.notes = self.folder / "notes"
        write(self.notes / "claims" / "001.yaml", NOTE)

    def report(self, *arguments):
        """Exit code and the two outputs."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = report.main([str(self.runs), "--claims", str(self.claims), *map(str, arguments)])
        return code, out.getvalue(), err.getvalue()

    def build(self, *arguments):
        """Title, blocks and texts, without drawing."""
        options = report.parse_arguments([str(self.runs), "--claims", str(self.claims), *map(str, arguments)])
        return report.build(options, report.quantities.read_tables(self.runs))

    def markdown(self, *arguments):
        return self.build(*arguments)[2][self.runs / "report" / "report.md"]


class KeptTablesTest(Folder):
    def test_a_report_of_the_kept_tables_is_that_of_the_runs(self):
        write(self.runs / "commit.txt", "abc1234\n")
        kept = self.folder / "kept" / "tiny"
        self.assertEqual(self.report("--tables", kept), (0, "", ""))

        def verdicts_and_headings():
            title, blocks, texts = self.build()
            judged = [line.split(",")[:2] for line in texts[self.runs / "report" / "verdicts.csv"].splitlines()]
            return title, judged, [block.text for block in blocks if isinstance(block, page.Heading)]

        original = verdicts_and_headings()
        self.runs = kept
        self.assertEqual(verdicts_and_headings(), original)
        self.assertEqual(sorted(path.name for path in kept.iterdir()),
                         ["commit.txt", "curves.csv", "lengths.csv", "runs.csv"])


class WrittenReportTest(Folder):
    def test_writes_one_page_without_links_outside_the_same_bytes_again_and_check_sees_what_was_changed(self):
        code, out, err = self.report("--notes", self.notes)
        self.assertEqual((code, err), (0, ""))
        output = self.runs / "report"
        self.assertEqual(out.strip(), str(output / "report.html"))
        self.check_html((output / "report.html").read_text(encoding="utf-8"))
        self.check_pictures(output)
        before = self.files()
        self.report("--notes", self.notes)
        self.assertEqual([path for path, content in self.files().items() if content != before[path]], [])
        self.check_check(output)

    def files(self):
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def check_html(self, html):
        self.assertEqual(re.findall(r"https?://", html), [])
        self.assertEqual(re.findall(r"<(?:script|link|img|iframe)\b", html), [])
        self.assertEqual(html.count("<figure>"), len(re.findall(r"<svg ", html)))
        ids = re.findall(r'\bid="([^"]*)"', html)
        self.assertEqual(len(ids), len(set(ids)), "two elements share an id")
        self.assertLessEqual(set(re.findall(r'href="#([^"]*)"', html)), set(ids))
        self.assertLessEqual(set(re.findall(r"url\(#([^)]*)\)", html)), set(ids))
        for text in ("Order matters | to all.", "顺序很重要。", "It &lt;needs&gt; a GPU.", "prefers-color-scheme"):
            self.assertIn(text, html)

    def check_pictures(self, output):
        named = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (output / "report.md").read_text(encoding="utf-8"))
        self.assertEqual(sorted(named), sorted(path.name for path in output.glob("*.png")))
        for path in output.glob("*.png"):
            self.assertEqual(path.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
            self.assertLess(path.stat().st_size, 150_000)

    def check_check(self, output):
        before = self.files()
        self.assertEqual(self.report("--notes", self.notes, "--check"), (0, "", ""))
        self.assertEqual(self.files(), before)
        changed = {output / "report.html": b"Order matters", output / "choose.csv": b"english,rope",
                   self.notes / "zh" / "001.md": "顺序重要".encode()}
        for path, part in changed.items():
            path.write_bytes(before[path].replace(part, b"x"))
        (output / "delta_english.png").unlink()
        code, _, err = self.report("--notes", self.notes, "--check")
        self.assertEqual((code, sorted(err.splitlines())), (1, sorted(
            [f"{path}: differs" for path in changed] + [f"{output / 'delta_english.png'}: is missing"])))
        self.assertFalse((output / "delta_english.png").exists())


class PictureTest(unittest.TestCase):
    def test_chinese_is_drawn_as_outlines_and_no_date_is_kept(self):
        _, svg = figures.render(figures.verdict_bars([("结论", {"reproduced": 2, "refuted": 1})]))
        self.assertNotIn("<text", svg)
        self.assertNotIn("<dc:date>", svg)

    def test_every_run_has_its_own_colour_and_marker_and_none_is_black(self):
        look = figures.styles([f"r{i}" for i in range(40)] + ["none"], {"none"})
        self.assertEqual(len({(style["color"], style["marker"]) for style in look.values()}), 41)
        self.assertEqual(look["none"]["color"], figures.BLACK)

    def test_the_mean_of_a_loss_curve_is_that_of_the_seeds_that_are_done(self):
        rows = [("b", "r", seed, tokens, loss) for seed, losses in ((1, (4, 2)), (2, (6, 4)), (3, (100, math.nan)))
                for tokens, loss in zip((0, 1_000_000), losses)]
        runs = pandas.DataFrame([("b", "r", 1, "done"), ("b", "r", 2, "done"), ("b", "r", 3, "diverged")],
                                columns=["block", "run", "seed", "status"])
        curves = pandas.DataFrame(rows, columns=measured.CURVE_COLUMNS)
        figure = figures.loss_curves(["b"], curves, figures.styles(["r"]), runs)
        lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
        self.assertEqual(lines["r"].get_xydata().tolist(), [[0, 5], [1, 3]])
        crosses = [line.get_xydata().tolist() for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
        self.assertEqual(crosses, [[[0, 100]]])
        figures.plt.close(figure)

    def test_a_probe_shows_a_dot_for_every_seed_and_its_floor(self):
        cells = [("r", seed, 32, condition, 0.1 * seed, 0.25, 1) for seed in (1, 2, 3) for condition in "ab"]
        rows = pandas.DataFrame(cells, columns=["run", "seed", "length", "condition", "accuracy", "floor_accuracy",
                                                "ceiling_accuracy"])
        figure = figures.probe(rows, figures.styles(["r"]), "p")
        dots = [panel.collections[0].get_offsets()[:, 0].tolist() for panel in figure.axes if panel.get_visible()]
        self.assertEqual([[round(x, 6) for x in part] for part in dots], [[0.1, 0.2, 0.3]] * 2)
        self.assertEqual(figure.axes[0].get_lines()[0].get_xdata(), [0.25, 0.25])
        figures.plt.close(figure)

    def test_the_front_holds_what_no_other_point_beats(self):
        points = {"fast": (1, 5), "flat": (5, 1), "both": (2, 2), "beaten": (3, 2), "same": (2, 2)}
        self.assertEqual(figures.front(points), ["fast", "flat", "both", "same"])


class ContentTest(Folder):
    def test_every_claim_has_its_verdict_its_seeds_and_its_tests(self):
        text = self.markdown()
        self.assertIn("**1 reproduced, 1 inconclusive, 1 not testable here**", text)
        self.assertIn("1: 0.800 · 2: 0.800 · 3: 0.800", text)
        self.assertIn("| [R1](#claim-r1) | Order matters \\| to all. | ✔ reproduced |", text)
        self.assertIn("It &lt;needs> a GPU.", text)
        self.assertIn("`Encodings.Permuted`", text)
        for name in ("R1", "R2", "R3"):
            self.assertIn(f"### Claim {name}\n", text)

    def test_a_run_that_diverged_is_named_with_its_reason(self):
        text = self.markdown()
        self.assertIn("1 of 13 runs are not done:", text)
        self.assertIn("- **diverged**: `english/lost` (seed 1): the loss became nan at step 7", text)
        self.assertIn("seed 1", next(line for line in text.splitlines() if line.startswith("**○ inconclusive**")))

    def test_a_section_without_its_table_says_which_file_it_needs(self):
        text = self.markdown()
        for file, maker in (("speed_by_length.csv", "scripts/measure_lengths.py"), ("probes.csv", "data.probe"),
                            ("projection.csv", "scripts/projection_probe.py")):
            self.assertRegex(text, f"Left out: it needs `{file}`, which is not there.*{re.escape(maker)}")
        (self.runs / "lengths.csv").unlink()
        self.assertIn("Left out: it needs `lengths.csv`", self.markdown())

    def test_positions_need_chunked_scoring(self):
        self.assertIn("Without chunked scoring, the only one that has all positions: `english`.", self.markdown())
        table = (self.runs / "lengths.csv").read_text(encoding="utf-8")
        write(self.runs / "lengths.csv", table + table.replace(",centred,all,", ",chunked,index,").partition("\n")[2])
        text = self.markdown()
        self.assertIn("](position_english.png)", text)
        self.assertNotIn("Without chunked", text)

    def test_hashes_of_claims_and_configurations_and_the_commit_are_there(self):
        self.assertNotIn("Commit", self.markdown())
        write(self.runs / "commit.txt", "abc123\n")
        text = self.markdown()
        self.assertIn("Commit: `abc123`", text)
        self.assertIn(report.verdicts.file_hash(self.claims), text)
        self.assertIn("| `rope` | `0123456789abcdef` |", text)

    def test_a_run_that_does_not_pass_the_gate_is_named_and_has_no_usable_length(self):
        _, blocks, texts = self.build()
        captions = {block.name: block.caption for block in blocks if isinstance(block, page.Figure)}
        self.assertEqual(captions["lengths_english"], "Block `english`: not trained enough (dashed): `shallow`. "
                                                      "Past the end of a table: `absolute` clip.")
        table = pandas.read_csv(io.StringIO(texts[self.runs / "report" / "choose.csv"])).set_index("run")
        self.assertEqual(table["usable_length"].to_dict()["absolute"], 32)
        self.assertEqual(table["usable_length"].to_dict()["rope"], 64)
        self.assertTrue(math.isnan(table["usable_length"]["shallow"]) and math.isnan(table["usable_length"]["none"]))
        self.assertAlmostEqual(table["delta_4L"]["absolute"], 2 * 0.9 * 1.2)
        self.assertEqual(table["seeds"]["rope"], "1 2 3")

    def test_curves_come_from_the_run_folders_and_later_from_the_file_that_was_written(self):
        first = self.build()[2][self.runs / "report" / "curves.csv"]
        self.assertIn("english,rope,2,500,3.25\n", first)
        self.assertNotIn("9.9", first)  # a training loss
        for path in self.runs.glob("english/*/*/metrics.csv"):
            path.unlink()
        self.assertIn("Left out: it needs `curves.csv`", self.markdown())
        write(self.runs / "report" / "curves.csv", first)
        _, blocks, texts = self.build()
        self.assertEqual(texts[self.runs / "report" / "curves.csv"], first)
        self.assertIn("loss_english", [block.name for block in blocks if isinstance(block, page.Figure)])

    def test_claims_about_other_comparisons_are_not_judged(self):
        write(self.claims, {**CLAIMS, "blocks": {"elsewhere": "none"}, "claims": CLAIMS["claims"][:1]})
        text = self.markdown()
        self.assertIn("No verdicts: this comparison has no block that the claims of `claims.yaml` are about.", text)
        self.assertNotIn("Claim R1", text)

    def test_broken_inputs_end_with_code_2_and_the_place(self):
        table = (self.runs / "lengths.csv").read_text(encoding="utf-8")
        write(self.runs / "lengths.csv", table.replace(",delta,", ",gamma,"))
        code, _, err = self.report("--check")
        self.assertEqual((code, err.count("\n")), (2, 1), err)
        self.assertRegex(err, r"lengths.csv: there is no column delta")
        (self.runs / "runs.csv").unlink()
        self.assertRegex(self.report("--check")[2], "there is no runs.csv")
        self.claims.unlink()
        self.assertEqual(self.report("--check")[0], 2)

    def test_the_plan_is_a_table_and_writes_nothing(self):
        code, out, _ = self.report("--plan")
        self.assertEqual(code, 0)
        self.assertIn("| R1 | positions help | 3 | 0.800 |", out)
        self.assertFalse((self.runs / "report").exists())


class NotesTest(Folder):
    def pages(self):
        texts = self.build("--notes", self.notes)[2]
        return {path.relative_to(self.notes).as_posix(): text for path, text in texts.items()
                if path.is_relative_to(self.notes)}

    def test_a_page_in_each_language_has_every_statement_its_verdict_and_a_link_to_the_report(self):
        pages = self.pages()
        self.assertEqual(sorted(pages), ["en/001.md", "zh/001.md"])
        link = "../../tiny/report/report.md#claim-r1"
        self.assertIn(f"**Verdict**: ✔ reproduced: [R1]({link}) Order matters | to all. `loss(english/none, 32) - "
                      "loss(english/absolute, 32)` = 0.800 [0.800, 0.800], 3 seeds, needed > 0.2", pages["en/001.md"])
        self.assertIn(f"**结论**：✔ 已复现：[R1]({link}) 顺序很重要。", pages["zh/001.md"])
        self.assertIn("3 个种子，要求 > 0.2", pages["zh/001.md"])
        for word in ("unit tests `Suite.Name`", "≡ definition: A name.", "(mechanism)", "✘ refuted"):
            self.assertIn(word, pages["en/001.md"])
        for word in ("单元测试 `Suite.Name`", "≡ 属于定义：一个名称。", "（机制）", "✘ 被否定", "– 此处无法检验"):
            self.assertIn(word, pages["zh/001.md"])

    def test_the_report_counts_the_statements_and_links_to_their_pages(self):
        _, blocks, texts = self.build("--notes", self.notes)
        self.assertIn("[001-1](../../notes/en/001.md#001-1)", texts[self.runs / "report" / "report.md"])
        results = {name: ClaimResult(name, [], {}, verdict, "", [], {}, []) for name, verdict in
                   (("R1", "reproduced"), ("R2", "refuted"), ("R3", "inconclusive"))}
        for ids, verdict in ((["R1"], "reproduced"), (["R1", "R3"], "inconclusive"), (["R3", "R2"], "refuted")):
            self.assertEqual(notes.verdict_of({"verdict": {"ids": ids}}, results), verdict)

    def refused(self, change, *parts):
        note = yaml.safe_load(yaml.safe_dump(NOTE))
        change(note)
        write(self.notes / "claims" / "001.yaml", note)
        results = [ClaimResult(claim["id"], claim.get("of", []), {}, "reproduced", "", [], {}, [])
                   for claim in CLAIMS["claims"]]
        with self.assertRaises(ValueError) as caught:
            notes.read_notes(self.notes, results)
        for part in parts:
            self.assertIn(part, str(caught.exception))

    def test_an_unknown_claim_in_a_note_ends_with_code_2_and_writes_nothing(self):
        write(self.notes / "claims" / "001.yaml", (self.notes / "claims" / "001.yaml").read_text().replace("R1", "R9"))
        code, _, err = self.report("--notes", self.notes)
        self.assertEqual((code, err.count("\n")), (2, 1), err)
        self.assertIn("there is no claim 'R9'", err)
        self.assertFalse((self.runs / "report").exists() or (self.notes / "en").exists())

    def test_mistakes_in_a_note_are_errors_with_the_place(self):
        self.refused(lambda note: note["claims"][0].update(verdict="R9"), "001.yaml: 001-1: ", "'R9'", "R1, R2, R3")
        self.refused(lambda note: note["claims"][0].update(verdict=["R1", "R8"]), "001-1", "'R8'")
        self.refused(lambda note: note["claims"][1].update(kind="rumour"), "001-2", "'rumour'")
        self.refused(lambda note: note["claims"][1].pop("really"), "001-2", "really is missing")
        self.refused(lambda note: note["claims"][2]["verdict"].update(says="maybe"), "001-3", "'maybe'")
        self.refused(lambda note: note["claims"][1].update(id="001-1"), "001-1", "twice")
        self.refused(lambda note: note["claims"][1].update(id="002-1"), "should begin with 001-")
        self.refused(lambda note: note["claims"].pop(1), "claim R2", "have no 001-2")
        self.refused(lambda note: note.update(note="1"), "001.yaml", 'note should be "001"')


class PageTest(unittest.TestCase):
    BLOCKS = [page.Heading(2, "A section: `x` & y"), page.Heading(3, "Below it"),
              page.Paragraph("a_b *c* <d> **e|f** `g|h`"), page.Bullets(["[x](y.md)"]),
              page.Table(["name", "loss"], [["`|x| < 1`", "2"], ["✘ refuted", "3"]], "lr")]

    def test_markdown_escapes_what_is_no_mark(self):
        text = page.markdown("T", self.BLOCKS)
        self.assertIn("- [A section: `x` & y](#a-section-x--y): [Below it](#below-it)\n", text)
        self.assertIn("a_b \\*c\\* &lt;d> **e|f** `g|h`", text)
        self.assertIn("| `\\|x\\| < 1` | 2 |", text)
        self.assertIn("|---|---:|", text)

    def test_html_escapes_and_marks_verdicts(self):
        html = page.html("T & U", self.BLOCKS, {})
        self.assertIn('<h2 id="a-section-x--y">A section: <code>x</code> &amp; y</h2>', html)
        self.assertIn("a_b *c* &lt;d&gt; <strong>e|f</strong> <code>g|h</code>", html)
        self.assertIn('<td class="verdict refuted">✘ refuted</td><td class="r">3</td>', html)
        self.assertIn("<title>T &amp; U</title>", html)

    def test_two_equal_anchors_are_refused(self):
        with self.assertRaisesRegex(ValueError, "two headings have the anchor #same"):
            page.markdown("T", [page.Heading(2, "Same"), page.Heading(3, "same")])

    def test_pictures_in_one_page_do_not_share_ids(self):
        svg = ('<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg"><metadata>m</metadata>'
               '<defs><path id="a"/></defs><use xlink:href="#a" clip-path="url(#a)"/></svg>')
        self.assertEqual(page.inline_svg(svg, "one", 'an "x"'),
                         '<svg role="img" aria-label="an &quot;x&quot;"><defs><path id="one-a"/></defs>'
                         '<use href="#one-a" clip-path="url(#one-a)"/></svg>')


class WordingTest(unittest.TestCase):
    def test_numbers_keep_three_decimals_where_that_says_something(self):
        for value, text in ((0.12345, "0.123"), (-0.5, "−0.500"), (0, "0.000"), (1234.5, "1,234"), (123.44, "123.4"),
                            (-0.00032, "−0.0003"), (3e-9, "3e−09"), (None, "–"), (math.nan, "–")):
            self.assertEqual(wording.number(value), text)
        self.assertEqual(wording.p_value(3e-5), "< 0.0001")
        self.assertEqual(wording.interval(1, math.nan, math.nan), "1.000")

    def criterion(self, outcome, p_for=None, p_against=None, **more):
        return CriterionResult(outcome, "mean", "q", "> 0", outcome, p_for=p_for, p_against=p_against, **more)

    def test_the_decisive_criterion_is_the_one_on_which_the_verdict_rests(self):
        def decisive(verdict, *criteria):
            return wording.decisive(ClaimResult("R", [], {}, verdict, "", list(criteria), {}, []))

        clear, narrow = self.criterion("for", 1e-9, 1), self.criterion("for", 0.01, 1)
        bad, worse = self.criterion("against", 1, 0.01), self.criterion("against", 1, 1e-9)
        self.assertIs(decisive("reproduced", clear, narrow), narrow)
        self.assertIs(decisive("refuted", clear, bad, worse), worse)
        self.assertIs(decisive("inconclusive", clear, self.criterion("open", 0.4, 0.6)).outcome, "open")
        self.assertIsNone(decisive("definition"))

    def test_a_count_says_which_members_hold_in_both_languages(self):
        count = CriterionResult("c", "count", "", "at least 2 of 3", "open",
                                members=[("a", "for", []), ("b", "open", []), ("d", "for", [])])
        self.assertEqual(wording.figure(count), "holds: `a`, `d`; open: `b` (at least 2 of 3 needed)")
        self.assertEqual(wording.figure_in_chinese(count), "成立：`a`、`d`；未定：`b`（要求：3 个中至少 2 个）")

    def test_every_is_said_as_a_range(self):
        every = CriterionResult("c", "every", "q", "> 0.95", "for", values={1: 0.97, 2: 1.0}, mean=0.985)
        self.assertEqual(wording.figure(every), "0.970 to 1.000, 2 seeds, each needed > 0.95")
        self.assertEqual(wording.figure_in_chinese(every), "0.970 至 1.000，2 个种子，每个都要求 > 0.95")


class MeasuredTest(unittest.TestCase):
    def test_the_lead_is_the_mean_difference_over_the_seeds_that_both_runs_have(self):
        columns = ["block", "run", "seed", "beyond", "train_length", "length", "scheme", "bucket", "loss"]
        losses = {"none": {1: 3.0, 2: 3.2, 3: 9.0}, "rope": {1: 2.5, 2: 2.5}}
        rows = [("b", run, seed, "", 32, 32, "centred", "all", loss)
                for run in losses for seed, loss in losses[run].items()]
        leads = measured.leads_of(pandas.DataFrame(rows, columns=columns), "centred", {"b": "none"})
        self.assertEqual({key: round(lead, 9) for key, lead in leads.items()}, {("b", "rope"): 0.6})

    def test_intervals_need_two_seeds(self):
        frame = pandas.DataFrame([("a", 1.0), ("a", 3.0), ("b", 5.0)], columns=["run", "loss"])
        first, second = measured.over_seeds(frame, ["run"], "loss").itertuples(index=False)
        self.assertEqual((first.mean, first.seeds, second.mean, second.seeds), (2, 2, 5, 1))
        self.assertAlmostEqual(first.high - 2, 12.7062, places=3)  # t of 0.975, 1 degree of freedom
        self.assertTrue(math.isnan(second.low))

    def test_a_table_is_shown_with_clip_where_it_was_evaluated_else_with_its_first_policy(self):
        rows = [("b", "x", "tile"), ("b", "x", "clip"), ("b", "y", "tile"), ("b", "y", "zero"), ("b", "z", "")]
        shown = measured.main_policy(pandas.DataFrame(rows, columns=["block", "run", "beyond"]))
        self.assertEqual(dict(zip(shown["run"], shown["beyond"])), {"x": "clip", "y": "tile", "z": ""})


class ChooseTest(unittest.TestCase):
    def usable(self, *rows):
        return choose.usable_length(pandas.DataFrame(rows, columns=["length", "mean", "high"]), 32)

    def test_the_usable_length_ends_where_delta_or_its_limit_first_exceeds_the_bound(self):
        self.assertEqual(self.usable((32, 0, 0), (64, 0.05, 0.09), (128, 0.02, 0.1), (256, 0.05, 0.11)), 128)
        self.assertEqual(self.usable((32, 0, 0), (64, 0.2, 0.3), (128, 0.01, 0.02)), 32)
        self.assertTrue(math.isnan(self.usable((32, 0, math.nan), (64, 0.01, math.nan))))  # one seed
        self.assertTrue(math.isnan(self.usable((32, 0, 0))))

    def test_scores_are_those_of_the_run_or_of_those_that_begin_with_its_name(self):
        scores = {"alibi_symmetric": 0.5, "alibi_two_slopes": 1.0, "disentangled": 0.9, "disentangled_enhanced": 0.8}
        self.assertEqual(choose.scores_of(scores, "disentangled"), "0.900")
        self.assertEqual(choose.scores_of(scores, "alibi"), "alibi_symmetric 0.500; alibi_two_slopes 1.000")
        self.assertEqual(choose.scores_of(scores, "rope"), "")

    def test_the_score_is_that_of_the_worst_seed_at_the_trained_length_without_boundary(self):
        columns = ["block", "run", "probe", "boundary", "condition", "train_length", "length", "accuracy"]
        rows = [("leak", "rope", "order", "cls_sep", "all", 16, 16, 1.0)]
        rows += [("order", "rope", "order", "none", "all", 16, *ends) for ends in ((16, 0.9), (16, 0.6), (32, 0.1))]
        probes = pandas.DataFrame(rows, columns=columns)
        self.assertEqual(choose.worst_accuracies(probes, "E"), ({"rope": 0.6}, "order"))

    def test_slopes_and_ratios_of_times(self):
        lengths, slow = (128, 256, 512), {1: 1, 2: 1, 3: 2}
        rows = [("absolute", n, r, 1e-6 * n, 1e-3 * n * slow[r], 1000, 2**20) for n in lengths for r in slow]
        rows += [("rnn", n, 1, 1e-6, 2e-3 * n**1.5, 1000, 2**20) for n in lengths]
        speed = pandas.DataFrame(rows, columns=["run", "length", "repeat", "forward_seconds", "step_seconds", "tokens",
                                                "peak_memory_bytes"])
        frame = curve_sections.speed_frame(speed).set_index("run")
        self.assertAlmostEqual(frame["slope_step"]["absolute"], 1)
        self.assertAlmostEqual(frame["slope_step"]["rnn"], 1.5)
        self.assertAlmostEqual(frame["slope_forward"]["rnn"], 0)
        self.assertAlmostEqual(frame["step_us"]["absolute"], 512)  # the median, not the mean
        self.assertAlmostEqual(frame["step_ratio"]["rnn"], 2 * 512**0.5)


if __name__ == "__main__":
    unittest.main()
