"""The pages of the notes: DIR/claims/NNN.yaml, with the verdicts filled in, becomes DIR/en/NNN.md and DIR/zh/NNN.md.

    note: "001"
    title: {en: ..., zh: ...}
    about: {en: ..., zh: ...}
    claims:
      - id: 001-1
        kind: claim                     claim | mechanism | system | action | question | warning | example
        says: {en: ..., zh: ...}        what the note says
        really: {en: ..., zh: ...}      what is right and wrong about it
        tested: {en: ..., zh: ...}
        verdict: R1                     an id of claims.yaml, or a list of ids, or one of
                                            {definition: {en: ..., zh: ...}}    {not_testable: {en: ..., zh: ...}}
                                            {test: [Suite.Name, ...], says: reproduced | refuted}

A statement with several ids has the verdict they share; where they differ, the first of refuted, inconclusive, not
testable here, reproduced.
"""

import os
import pathlib

import yaml

from reporting import claims, page, wording

LANGUAGES = ("en", "zh")
KINDS = {"claim": "断言", "mechanism": "机制", "system": "系统", "action": "行动", "question": "问题", "warning": "提醒",
         "example": "例子"}
TEXTS = ("says", "really", "tested")
GRAVEST_FIRST = ("refuted", "inconclusive", "not testable here", "reproduced", "definition")
WORDS = {
    "en": {"says": "The note says", "really": "In truth", "tested": "Tested", "verdict": "Verdict", "other": "中文",
           "report": "report", "tests": "unit tests", "of": "Note", "colon": ": ", "comma": ", ", "stop": " ",
           "detectable": "; an effect of {} from the bound would have been found"},
    "zh": {"says": "笔记说", "really": "实际上", "tested": "如何检验", "verdict": "结论", "other": "English",
           "report": "报告", "tests": "单元测试", "of": "笔记", "colon": "：", "comma": "、", "stop": "",
           "detectable": "；与界限相差 {} 的效应本可检出"},
}
GENERATED = {
    "en": "Made by `scripts/report.py` from `claims/{note}.yaml`; edit that, not this page.",
    "zh": "本页由 `scripts/report.py` 根据 `claims/{note}.yaml` 生成；请改那个文件，不要改本页。",
}


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_verdict(node, known):
    if isinstance(node, dict) and set(node) == {"test", "says"}:
        if node["says"] not in ("reproduced", "refuted"):
            raise ValueError(f"verdict: says should be reproduced or refuted, it is {node['says']!r}")
        return {"tests": claims.texts(node["test"], "verdict.test"), "says": node["says"]}
    for key, verdict in (("definition", "definition"), ("not_testable", "not testable here")):
        if isinstance(node, dict) and set(node) == {key}:
            return {"text": claims.two_languages(node[key], f"verdict.{key}"), "says": verdict}
    ids = [node] if isinstance(node, str) else node
    if not isinstance(ids, list) or not ids:
        raise ValueError("verdict should be an id, a list of ids, {definition: ...}, {not_testable: ...} or "
                         "{test: [...], says: ...}")
    for name in ids:
        if name not in known:
            raise ValueError(f"verdict: there is no claim {name!r} in the claims file; there are: {', '.join(known)}")
    return {"ids": ids}


def read_statement(node, note, known):
    claims.check_keys(node, ("id", "kind", *TEXTS, "verdict"), required=("id", "kind", *TEXTS, "verdict"))
    if not str(node["id"]).startswith(f"{note}-"):
        raise ValueError(f"the id should begin with {note}-")
    if node["kind"] not in KINDS:
        raise ValueError(f"kind should be one of {', '.join(KINDS)}; it is {node['kind']!r}")
    return {"id": node["id"], "kind": node["kind"], "verdict": read_verdict(node["verdict"], known),
            **{key: claims.two_languages(node[key], key) for key in TEXTS}}


def read_note(path, known):
    """One file; known: the ids of claims.yaml."""
    try:
        root = yaml.load(path.read_text(encoding="utf-8"), Loader=claims.UniqueKeys)
        claims.check_keys(root, ("note", "title", "about", "claims"), required=("note", "title", "about", "claims"))
        if root["note"] != path.stem:
            raise ValueError(f'note should be "{path.stem}" as the file is called, it is {root["note"]!r}')
        note = {"note": root["note"], "title": claims.two_languages(root["title"], "title"), "statements": [],
                "about": claims.two_languages(root["about"], "about")}
        for number, node in enumerate(root["claims"], start=1):
            place = node.get("id", f"number {number}") if isinstance(node, dict) else f"number {number}"
            try:
                note["statements"].append(read_statement(node, root["note"], known))
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None
            if place in [statement["id"] for statement in note["statements"][:-1]]:
                raise ValueError(f"{place} stands there twice")
        return note
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_notes(folder, results):
    """All notes of folder/claims. A claim of claims.yaml that is `of` a statement which no note has is an error."""
    paths = sorted(pathlib.Path(folder, "claims").glob("*.yaml"))
    if not paths:
        raise ValueError(f"{folder}/claims: there is no NNN.yaml")
    notes = [read_note(path, [result.id for result in results]) for path in paths]
    statements = {statement["id"] for note in notes for statement in note["statements"]}
    for result in results:
        for number in result.of:
            if number not in statements:
                raise ValueError(f"claim {result.id}: of: the notes in {folder}/claims have no {number}")
    return notes


# ---- verdicts --------------------------------------------------------------------------------------------------------


def verdict_of(statement, results):
    """results: {id: ClaimResult}"""
    verdict = statement["verdict"]
    if "says" in verdict:
        return verdict["says"]
    found = {results[name].verdict for name in verdict["ids"]}
    return next(name for name in GRAVEST_FIRST if name in found)


def verdicts_of(notes, results):
    """{"001-1": verdict}"""
    return {statement["id"]: verdict_of(statement, results) for note in notes for statement in note["statements"]}


def said(verdict, language):
    return page.SYMBOLS[verdict] + " " + (verdict if language == "en" else wording.VERDICTS_IN_CHINESE[verdict])


def measured_text(result, language, report):
    """A line for one id of claims.yaml: its claim, verdict and decisive figure."""
    words, criterion = WORDS[language], wording.decisive(result)
    if criterion is not None:
        quantity = f"`{criterion.quantity}` = " if criterion.quantity and criterion.mean is not None else ""
        text = quantity + (wording.figure(criterion) if language == "en" else wording.figure_in_chinese(criterion))
    else:
        text = (result.definition or {}).get(language, result.reason)
    link = f"[{result.id}]({report}#claim-{result.id.lower()})"
    if result.verdict == "inconclusive" and criterion is not None and criterion.detectable is not None:
        text += words["detectable"].format(wording.number(criterion.detectable))
    return f"{said(result.verdict, language)}{words['colon']}{link} {result.claim[language]}{words['stop']}{text}"


def verdict_lines(statement, results, language, report):
    verdict, words = statement["verdict"], WORDS[language]
    if "ids" in verdict:
        return [measured_text(results[name], language, report) for name in verdict["ids"]]
    if "tests" in verdict:
        tests = words["comma"].join(f"`{name}`" for name in verdict["tests"])
        return [f"{said(verdict['says'], language)}{words['colon']}{words['tests']} {tests}"]
    return [f"{said(verdict['says'], language)}{words['colon']}{verdict['text'][language]}"]


# ---- pages -----------------------------------------------------------------------------------------------------------


def statement_blocks(statement, results, language, report):
    words, kind = WORDS[language], statement["kind"]
    kinds = {"says": f" ({kind})" if language == "en" else f"（{KINDS[kind]}）"}
    items = [f"**{words[key]}**{kinds.get(key, '')}{words['colon']}{statement[key][language].strip()}" for key in TEXTS]
    lines = verdict_lines(statement, results, language, report)
    items += [f"**{words['verdict']}**{words['colon']}{line}" for line in lines]
    return [page.Heading(3, statement["id"]), page.Bullets(items)]


def contents_line(note, results):
    return " · ".join(f"[{statement['id']}](#{statement['id']}) {page.SYMBOLS[verdict_of(statement, results)]}"
                      for statement in note["statements"])


def legend(language):
    return " · ".join(said(verdict, language) for verdict in page.SYMBOLS)


def note_page(note, results, language, report):
    """The Markdown text of one page. report: the path of report.md from it."""
    other = "zh" if language == "en" else "en"
    words = WORDS[language]
    title = f"{words['of']} {note['note']}{words['colon']}{note['title'][language].strip()}"
    head = [page.Paragraph(f"[{words['other']}](../{other}/{note['note']}.md) · [{words['report']}]({report})"),
            page.Paragraph(note["about"][language].strip()), page.Paragraph(contents_line(note, results)),
            page.Paragraph(legend(language))]
    body = [block for statement in note["statements"]
            for block in statement_blocks(statement, results, language, report)]
    foot = page.Paragraph(GENERATED[language].format(note=note["note"]))
    return page.markdown(title, [*head, *body, foot], with_contents=False)


def pages(folder, notes, results, report):
    """{path: text} of all pages. report: the path of report.md."""
    texts = {}
    for language in LANGUAGES:
        place = pathlib.Path(folder, language)
        link = pathlib.Path(os.path.relpath(report, place)).as_posix()
        for note in notes:
            texts[place / f"{note['note']}.md"] = note_page(note, results, language, link)
    return texts


def page_links(folder, notes, output):
    """{"001": the path of its English page from the report}"""
    place = pathlib.Path(os.path.relpath(pathlib.Path(folder, "en"), output))
    return {note["note"]: (place / f"{note['note']}.md").as_posix() for note in notes}
