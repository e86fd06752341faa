"""A report as a list of blocks, rendered twice: as Markdown for GitHub, and as one HTML file with nothing beside it.

    blocks = [Heading(2, "Summary"), Paragraph("**12** claims"), Table(["id", "loss"], [["R1", "0.31"]], "lr"), ...]
    markdown(title, blocks)            pictures are files beside the page: NAME.png
    html(title, blocks, svgs)          pictures stand in the page: svgs[NAME] is the text of an SVG

Texts know three marks, those of Markdown: `code`, **bold** and [text](link). Everything else is shown as it is, so that
what comes out of tables needs no care. Anchors of headings are made as GitHub makes them; two equal ones are refused.
"""

import dataclasses
import html as escaping
import re

from reporting import results

INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\(([^)]+)\)")
SYMBOLS = {"reproduced": "✔", "refuted": "✘", "inconclusive": "○", "definition": "≡", "not testable here": "–"}


@dataclasses.dataclass
class Heading:
    level: int  # 2: a section, in the contents; 3: below one, in the contents in one line
    text: str


@dataclasses.dataclass
class Paragraph:
    text: str


@dataclasses.dataclass
class Bullets:
    items: list


@dataclasses.dataclass
class Table:
    header: list
    rows: list      # lists of texts
    alignment: str  # a letter for each column: l or r


@dataclasses.dataclass
class Figure:
    name: str       # of the file, without .png
    alt: str        # what a reader who does not see it should know
    caption: str
    draw: object    # called without arguments, gives the matplotlib figure


def mark(verdict):
    """A verdict with its symbol; a table cell that holds nothing else is coloured in HTML."""
    return f"{SYMBOLS[verdict]} {verdict}"


LONG = 45  # characters: a cell of a table with more is kept wide
CELL_CLASSES = {mark(verdict): "verdict " + verdict.split()[0] for verdict in results.VERDICTS}


def slug(text):
    """The anchor that GitHub gives to a heading: lower case, spaces to hyphens, without punctuation and marks."""
    plain = INLINE.sub(lambda match: next(group for group in match.groups() if group), text)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def check_anchors(blocks):
    seen = set()
    for block in blocks:
        if isinstance(block, Heading):
            if slug(block.text) in seen:
                raise ValueError(f"two headings have the anchor #{slug(block.text)}; call one of them otherwise")
            seen.add(slug(block.text))


def contents(blocks):
    """For each section its text and those of the headings right below it."""
    sections = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append((block.text, []))
        elif isinstance(block, Heading) and block.level == 3 and sections:
            sections[-1][1].append(block.text)
    return sections


# ---- Markdown --------------------------------------------------------------------------------------------------------


def markdown_text(text):
    """Escapes what Markdown would read as a mark, outside of the three marks."""
    def plain(part):
        part = re.sub(r"<(?=\S)", "&lt;", re.sub(r"&(?=\w|#)", "&amp;", part))
        return re.sub(r"([\\*~]|(?<!\w)_|_(?!\w))", r"\\\1", part)

    parts, end = [], 0
    for match in INLINE.finditer(text):
        code, bold, label, link = match.groups()
        parts.append(plain(text[end:match.start()]))
        parts.append(f"`{code}`" if code else f"**{markdown_text(bold)}**" if bold else
                     f"[{markdown_text(label)}]({link})")
        end = match.end()
    return "".join(parts) + plain(text[end:])


def markdown_row(cells):
    return "| " + " | ".join(cells) + " |"


def markdown_table(table):
    rules = "|" + "".join("---:|" if letter == "r" else "---|" for letter in table.alignment)
    rows = [markdown_row(markdown_text(cell).replace("|", "\\|") for cell in row) for row in table.rows]
    return "\n".join([markdown_row(map(markdown_text, table.header)), rules, *rows])


def markdown_contents(blocks):
    lines = []
    for section, below in contents(blocks):
        links = " · ".join(f"[{text}](#{slug(text)})" for text in below)
        lines.append(f"- [{section}](#{slug(section)})" + (f": {links}" if links else ""))
    return "\n".join(lines)


def markdown_block(block):
    if isinstance(block, Heading):
        return "#" * block.level + " " + markdown_text(block.text)
    if isinstance(block, Paragraph):
        return markdown_text(block.text)
    if isinstance(block, Bullets):
        return "\n".join("- " + markdown_text(item) for item in block.items)
    if isinstance(block, Table):
        return markdown_table(block)
    return f"![{block.alt}]({block.name}.png)\n\n{markdown_text(block.caption)}"


def markdown(title, blocks, with_contents=True):
    check_anchors(blocks)
    head = ["# " + markdown_text(title)] + ([markdown_contents(blocks)] if with_contents else [])
    return "\n\n".join(head + [markdown_block(block) for block in blocks]) + "\n"


# ---- HTML ------------------------------------------------------------------------------------------------------------

STYLE = """
:root { --ink: #1f2328; --paper: #ffffff; --soft: #59636e; --line: #d5dae0; --stripe: #f6f8fa; --link: #0b5fad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --paper: #12161b; --soft: #9aa5b1; --line: #343c46; --stripe: #1a2027; --link: #6cb6ff; }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1rem; max-width: 92rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei", sans-serif; }
main { min-width: 0; max-width: 72rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: .5rem 0 1rem; }
h2 { margin: 2.6rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 .6rem; }
p, ul { max-width: 52rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88em; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--stripe); }
td.r, th.r { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.long { min-width: 17rem; }
td.verdict { white-space: nowrap; font-weight: 600; border-left: .4rem solid #9a9a9a; }
td.reproduced { border-left-color: #009e73; }
td.refuted { border-left-color: #d55e00; }
td.definition { border-left-color: #56b4e9; }
td.not { border-left-color: transparent; }
figure { margin: 1.2rem 0; }
figure .scroll { background: #ffffff; border: 1px solid var(--line); border-radius: .4rem; margin: 0; padding: .5rem; }
figure svg { display: block; max-width: 100%; height: auto; }
@media (max-width: 45rem) { figure svg { max-width: none; } }
figcaption { color: var(--soft); font-size: .92rem; max-width: 52rem; margin-top: .4rem; }
nav { font-size: .92rem; }
nav ul { list-style: none; padding: 0; margin: .4rem 0; }
nav li { margin: .25rem 0; }
nav a { text-decoration: none; }
nav .below { color: var(--soft); }
@media (min-width: 75rem) {
  body { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 2.5rem; }
  header { grid-column: 1 / -1; }
  nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto; padding: 1rem 0; }
}
"""

XML_AROUND_SVG = re.compile(r'<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->| xmlns(:\w+)?="[^"]*"',
                            re.DOTALL)


def html_text(text):
    parts, end = [], 0
    for match in INLINE.finditer(text):
        code, bold, label, link = match.groups()
        parts.append(escaping.escape(text[end:match.start()]))
        parts.append(f"<code>{escaping.escape(code)}</code>" if code else
                     f"<strong>{html_text(bold)}</strong>" if bold else
                     f'<a href="{escaping.escape(link)}">{html_text(label)}</a>')
        end = match.end()
    return "".join(parts) + escaping.escape(text[end:])


def html_table(table):
    def row(tag, cells):
        texts = []
        for cell, letter in zip(cells, table.alignment):
            kind = CELL_CLASSES.get(cell, "r" if letter == "r" else "long" if len(cell) > LONG else "")
            texts.append(f"<{tag}" + (f' class="{kind}"' if kind else "") + f">{html_text(cell)}</{tag}>")
        return "<tr>" + "".join(texts) + "</tr>"

    body = "\n".join(row("td", cells) for cells in table.rows)
    head = row("th", table.header)
    return f'<div class="scroll"><table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def inline_svg(svg, name, alt):
    """As it may stand in HTML: no preamble of XML, ids of its own, since all pictures share the page's, and a label."""
    svg = XML_AROUND_SVG.sub("", svg).replace("xlink:href", "href")
    svg = re.sub(r"\n\s*", "\n", re.sub('<g id="[^"]*"', "<g", svg))  # groups are not referred to
    svg = re.sub(r'(\bid="|\bhref="#|url\(#)', lambda match: f"{match.group(1)}{name}-", svg)
    return svg.strip().replace("<svg", f'<svg role="img" aria-label="{escaping.escape(alt)}"', 1)


def html_contents(blocks):
    items = []
    for section, below in contents(blocks):
        links = " · ".join(f'<a href="#{slug(text)}">{html_text(text)}</a>' for text in below)
        more = f'<div class="below">{links}</div>' if links else ""
        items.append(f'<li><a href="#{slug(section)}">{html_text(section)}</a>{more}</li>')
    return '<nav aria-label="Contents"><strong>Contents</strong><ul>\n' + "\n".join(items) + "\n</ul></nav>"


def html_block(block, svgs):
    if isinstance(block, Heading):
        return f'<h{block.level} id="{slug(block.text)}">{html_text(block.text)}</h{block.level}>'
    if isinstance(block, Paragraph):
        return f"<p>{html_text(block.text)}</p>"
    if isinstance(block, Bullets):
        return "<ul>\n" + "\n".join(f"<li>{html_text(item)}</li>" for item in block.items) + "\n</ul>"
    if isinstance(block, Table):
        return html_table(block)
    picture = inline_svg(svgs[block.name], block.name, block.alt)
    return f'<figure><div class="scroll">{picture}</div><figcaption>{html_text(block.caption)}</figcaption></figure>'


def html(title, blocks, svgs):
    check_anchors(blocks)
    body = "\n".join(html_block(block, svgs) for block in blocks)
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escaping.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f"<header><h1>{html_text(title)}</h1></header>\n{html_contents(blocks)}\n"
            f"<main>\n{body}\n</main>\n</body>\n</html>\n")
