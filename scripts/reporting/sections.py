"""What stands in the report, in which order, as blocks of page.py: summary, what was compared, a section for each
claim; curve_sections.py has the sections with curves and pictures."""

import pandas

from reporting import choose, curve_sections, figures, wording
from reporting.page import Bullets, Figure, Heading, Paragraph, Table, mark
from reporting.results import VERDICTS

UNFINISHED = ("diverged", "failed", "unfinished", "left_out")


# ---- summary ---------------------------------------------------------------------------------------------------------


def counts(verdicts):
    verdicts = list(verdicts)
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def decisive_text(claim):
    criterion = wording.decisive(claim)
    if criterion is None:
        return claim.reason
    return (f"`{criterion.quantity}`: " if criterion.quantity else "") + wording.figure(criterion)


def note_links(claim, note_pages):
    """note_pages: {"001": path of its English page}, empty when no notes are made."""
    def link(number):
        page = note_pages.get(number.split("-")[0])
        return f"[{number}]({page}#{number})" if page else number

    return ", ".join(map(link, claim.of)) or wording.NONE


def summary(results, numbered, note_pages):
    """numbered: {"001-1": verdict} of the notes' pages, or empty."""
    bars = [(f"{len(results)} claims", counts(result.verdict for result in results))]
    if numbered:
        bars.append((f"{len(numbered)} statements of the notes", counts(numbered.values())))
    said = ", ".join(f"{count} {verdict}" for verdict, count in bars[0][1].items() if count)
    rows = [[f"[{result.id}](#claim-{result.id.lower()})", result.claim["en"], mark(result.verdict),
             decisive_text(result), note_links(result, note_pages)] for result in results]
    return [Paragraph(f"{len(results)} claims, judged by their criteria: **{said}**."),
            Figure("verdicts", f"Verdicts: {said}", "How many claims got which verdict.",
                   lambda: figures.verdict_bars(bars)),
            Table(["id", "claim", "verdict", "decisive figure", "of the notes"], rows, "lllll")]


def verdict_frame(results):
    """verdicts.csv: with the figures of the decisive criterion."""
    rows, columns = [], ["quantity", "bound", "mean", "low", "high"]
    for result in results:
        criterion = wording.decisive(result)
        rows.append([result.id, result.verdict, result.p, result.p_adjusted,
                     *(getattr(criterion, column, None) for column in columns)])
    return pandas.DataFrame(rows, columns=["id", "verdict", "p", "p_adjusted", *columns])


# ---- what was compared -----------------------------------------------------------------------------------------------


def whole_numbers(values):
    values = sorted(set(values.dropna()))
    if not values:
        return wording.NONE
    return f"{values[0]:,.0f}" if len(values) == 1 else f"{values[0]:,.0f} to {values[-1]:,.0f}"


def block_table(comparison):
    rows = []
    for block, runs in comparison.runs.groupby("block", sort=False):
        done = runs[runs["status"] == "done"]
        numbers = [whole_numbers(column) for column in (runs["train_length"], done["steps"], done["tokens"])]
        rows.append([f"`{block}`", curve_sections.kind_of(comparison, block), str(runs["run"].nunique()),
                     wording.names(sorted(set(runs["seed"]))), *numbers, f"{len(done)} of {len(runs)}"])
    return Table(["block", "kind", "runs", "seeds", "trained length", "steps", "tokens", "done"], rows, "llrlrrrr")


def unfinished_items(runs):
    """A line for each status, block and reason that is not done, with the runs and seeds."""
    items = []
    for status in UNFINISHED:
        for (block, reason), alike in runs[runs["status"] == status].groupby(["block", "reason"], sort=False):
            named = [f"`{block}/{run}` (seed{'s' if len(rows) > 1 else ''} {wording.names(sorted(rows['seed']))})"
                     for run, rows in alike.groupby("run", sort=False)]
            items.append(f"**{status.replace('_', ' ')}**: {wording.names(named)}" + (f": {reason}" if reason else ""))
    return items


def configuration_table(runs):
    blocks = list(dict.fromkeys(runs["block"]))
    by_run = runs.groupby(["block", "run"], sort=False)["configuration"]
    hashes = {key: curve_sections.code(dict.fromkeys(values)) for key, values in by_run}
    rows = [[f"`{run}`"] + [hashes.get((block, run), "") for block in blocks] for run in dict.fromkeys(runs["run"])]
    return Table(["run", *blocks], rows, "l" * (len(blocks) + 1))


def compared(comparison, criteria):
    facts = ["Criteria: `{}`, SHA-256 `{}` (the first 16 digits)".format(*criteria)]
    commit = comparison.folder / "commit.txt"
    if commit.exists():
        facts.append(f"Commit: `{commit.read_text(encoding='utf-8').strip()}`")
    runs = comparison.runs
    unfinished = unfinished_items(runs)
    status = (f"{(runs['status'] != 'done').sum()} of {len(runs)} runs are not done:" if unfinished else
              f"All {len(runs)} runs are done: none diverged, failed or was left out.")
    return [Heading(2, "What was compared"), Bullets(facts), block_table(comparison), Paragraph(status),
            *([Bullets(unfinished)] if unfinished else []),
            Paragraph("Within a block all runs share the data, batches, masks and steps of a seed. The configurations, "
                      "by their hashes:"),
            configuration_table(runs)]


# ---- claims ----------------------------------------------------------------------------------------------------------


def criterion_row(criterion, name):
    quantity, outcome = f"`{criterion.quantity}`" if criterion.quantity else "", wording.OUTCOMES[criterion.outcome]
    if criterion.test == "every" and criterion.outcome in ("for", "against", "open"):
        outcome += f": {criterion.note}"
    return [name, quantity, f"`{criterion.bound}`", wording.value(criterion), wording.by_seed(criterion.values),
            wording.p_value(criterion.p_for), wording.p_value(criterion.p_against),
            wording.number(criterion.detectable), outcome]


def criteria_table(criteria):
    rows = []
    for criterion in criteria:
        rows.append(criterion_row(criterion, criterion.name))
        for member, outcome, parts in criterion.members:
            rows.append([f"`{member}`", *[""] * 7, wording.OUTCOMES[outcome]])
            rows.extend(criterion_row(part, f"`{member}`: {part.name}") for part in parts)
    return Table(["criterion", "quantity", "bound", "mean [95 %], or range", "by seed", "p for", "p against",
                  "detectable", "outcome"], rows, "lllrlrrrl")


def remarks(criteria):
    """What the table does not say: why a criterion is missing or open, spreads, signs."""
    parts = [*criteria, *(part for criterion in criteria for _, _, members in criterion.members for part in members)]
    items = [f"{part.name}: {part.note}" for part in parts
             if part.note and (part.test == "mean" or part.outcome in ("missing", "not trained enough"))]
    return [Bullets(list(dict.fromkeys(items)))] if items else []


def also_table(result):
    rows = []
    for block, criteria in result.also.items():
        for criterion in criteria:
            outcome = criterion.note if criterion.outcome == "missing" else wording.OUTCOMES[criterion.outcome]
            where = f"`{block}`: first look" if block == result.first_look else f"`{block}`"
            rows.append([where, criterion.name, f"`{criterion.bound}`", wording.value(criterion),
                         wording.by_seed(criterion.values), outcome])
    return Table(["block", "criterion", "bound", "mean [95 %], or range", "by seed", "outcome"], rows, "lllrll")


def claim(result, note_pages):
    reason = result.reason.strip().rstrip(".") + "."
    if result.verdict == "inconclusive" and result.p is not None:
        reason += f" p = {wording.p_value(result.p)}, after Holm {wording.p_value(result.p_adjusted)}."
    blocks = [Heading(3, f"Claim {result.id}"), Paragraph(f"**{result.claim['en']}** {result.claim['zh']}"),
              Paragraph(f"**{mark(result.verdict)}** ({wording.VERDICTS_IN_CHINESE[result.verdict]}): {reason} "
                        f"Of the notes: {note_links(result, note_pages)}.")]
    if result.first_look:
        blocks.append(Paragraph(f"The seeds of `{result.first_look}` left it undecided. This is the second look: fresh "
                                "seeds alone decide, at the same bounds, and p counts twice."))
    if result.criteria:
        blocks += [criteria_table(result.criteria), *remarks(result.criteria)]
    if any(result.also.values()):
        blocks += [Paragraph("The same criteria on the other blocks, no part of the verdict:"), also_table(result)]
    if result.proved_by:
        blocks.append(Paragraph(f"The exact part is proved by unit tests: {curve_sections.code(result.proved_by)}."))
    return blocks


def claims(results, note_pages):
    intro = Paragraph("The unit is the seed. A criterion with an interval is a t test over the seeds; one with a range "
                      "must hold at every seed; one that counts asks how many runs meet all its parts. The p values of "
                      "all claims go through Holm's procedure. Detectable: the smallest distance from the bound that "
                      f"would have been found with 80 % power. {curve_sections.INTERVALS}")
    return [Heading(2, "Claims"), intro] + [block for result in results for block in claim(result, note_pages)]


# ---- all of it -------------------------------------------------------------------------------------------------------


def report(comparison, results, criteria, numbered=None, note_pages=None):
    """The blocks of the report, and its CSV files by name. results: empty when the claims are about other comparisons;
    criteria: name and hash of the claims file; numbered, note_pages: summary() and note_links() explain."""
    note_pages, look = note_pages or {}, curve_sections.look(comparison)
    by_run = choose.rows(comparison) if comparison.lengths is not None else None
    missing = [Paragraph(f"No verdicts: this comparison has no block that the claims of `{criteria[0]}` are about.")]
    blocks = [Heading(2, "Summary"), *(summary(results, numbered or {}, note_pages) if results else missing),
              *compared(comparison, criteria), *(claims(results, note_pages) if results else []),
              *curve_sections.sections(comparison, look, by_run)]
    files = {"verdicts.csv": curve_sections.as_csv(verdict_frame(results))}
    return blocks, files | curve_sections.files(comparison, by_run)
