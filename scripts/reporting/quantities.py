"""The tables of a comparison folder, and the quantities that claims are about: figures of runs, added, subtracted,
multiplied and divided.

    loss(english/none, 32) - loss(english/absolute, 32)
    delta(english/absolute, 128, clip)
    2 * accuracy(order/rope, 16, all) - 1

A quantity has one value for each seed that all its figures have. Figures without seeds (step_time) are the same for
every seed; a quantity of such figures alone has one value, for the seed None.

    loss, delta(block/run, length[, beyond])
        lengths.csv, bucket "all" of the scheme that the claims name; delta is loss(length) - loss(trained length) on
        the same targets. beyond: the policy of a table of positions; it may be left away up to the trained length,
        where all policies agree, and for a run that was evaluated with one
    accuracy, probe_loss, floor_loss, floor_accuracy(block/run, length, condition)
        probes.csv; a space in a condition may be written as _
    validation_loss, parameters(block/run)
        runs.csv
    seconds(block/run)
        times.csv
    loss_at_time_of(block/run, block/other)
        the validation loss that run had after as many seconds as other took to its end, which is after
        tokens(other) * speed(run) / speed(other) tokens. speed: the median over the seeds of times.csv. Between two
        validations of metrics.csv (without run folders: of the report's curves.csv) the loss is on the line
    step_time(run, length)
        speed_by_length.csv, the median over the repeats
    toeplitz_share, antisymmetric_share(run, projection, when)
        projection.csv, the mean over layers and heads; when: first or last step

A quantity is read before it is measured: what is wrong with its text is a ValueError. What the tables cannot answer is
a MissingError, which names what there is; so is a run of which any seed is not done, since the seeds that are left
would be a choice.
"""

import ast
import csv
import dataclasses
import functools
import math
import operator
import pathlib
import re

import numpy
import pandas

TABLES = {  # with the columns that hold numbers; all others hold text
    "runs": ("seed", "steps", "tokens", "train_length", "validation_loss", "validation_accuracy", "parameters"),
    "lengths": ("seed", "train_length", "length", "bucket_begin", "bucket_end", "loss", "masked_accuracy",
                "masked_tokens", "loss_ci_low", "loss_ci_high", "delta", "delta_ci_low", "delta_ci_high"),
    "probes": ("seed", "train_length", "length", "loss", "accuracy", "targets", "accuracy_ci_low", "accuracy_ci_high",
               "floor_loss", "floor_accuracy", "ceiling_accuracy"),
    "times": ("seed", "tokens_per_second", "seconds", "evaluation_seconds", "peak_memory_bytes"),
    "speed_by_length": ("length", "repeat", "forward_seconds", "step_seconds", "tokens", "peak_memory_bytes"),
    "projection": ("seed", "step", "layer", "head", "toeplitz_share", "antisymmetric_share"),
    "curves": ("seed", "tokens", "loss"),
}
METRICS = ("step", "tokens", "epoch", "loss", "masked_accuracy", "learning_rate", "gradient_norm", "tokens_per_second",
           "elapsed_seconds")
MAKERS = {"speed_by_length": "scripts/measure_lengths.py", "projection": "scripts/projection_probe.py"}
ROUNDING = 1e-9


class MissingError(ValueError):
    """The tables do not hold what a quantity needs."""


# ---------------------------------------------------------------- tables

def number_of(text, path, line, name):
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ValueError(f'{path}: line {line}: column {name} should be a number, it is "{text}"') from None


def read_table(path, numbers):
    """A CSV file as a frame. Empty numbers are NaN, empty texts stay empty; a run may be called "none"."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file)]
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text") from None
    if not rows:
        raise ValueError(f"{path}: the file is empty; it should begin with the names of its columns")
    header = rows[0]
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: line {line}: {len(row)} cells, the header has {len(header)}")
    frame = pandas.DataFrame(rows[1:], columns=header, dtype=str)
    for name in header:
        if name in numbers:
            frame[name] = [number_of(text, path, line, name) for line, text in enumerate(frame[name], start=2)]
    if "seed" in header:
        if frame["seed"].isna().any():
            raise ValueError(f"{path}: line {frame['seed'].isna().argmax() + 2}: there is no seed")
        frame["seed"] = frame["seed"].astype(int)
    return frame


class Tables:
    """The tables of one comparison folder, each read when it is first asked for."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.read = {}

    def has(self, name):
        return (self.folder / f"{name}.csv").exists()

    def table(self, name):
        """One of TABLES, or block/run/seed-N/metrics."""
        if not self.has(name):
            maker = MAKERS.get(name, "locus compare")
            raise MissingError(f"{name}.csv is missing ({maker} writes it)")
        if name not in self.read:
            self.read[name] = read_table(self.folder / f"{name}.csv", TABLES.get(name, METRICS))
        return self.read[name]

    def column(self, name, frame, column):
        """A column of rows of the table `name`."""
        if column not in frame:
            there = ", ".join(frame.columns)
            raise ValueError(f"{self.folder / name}.csv: there is no column {column}; there are: {there}")
        return frame[column]

    def validations(self, block, run, seed):
        """Columns tokens and loss of one run: from its metrics.csv; where the run folders are not at hand, from the
        report's curves.csv."""
        name = f"{block}/{run}/seed-{seed}/metrics"
        if not self.has(name) and self.has("curves"):
            rows, source = self.table("curves"), "curves"
            rows = rows[(rows["block"] == block) & (rows["run"] == run) & (rows["seed"] == seed)]
        else:
            rows, source = self.table(name), name
            rows = rows[self.column(name, rows, "split") == "valid"]
        frame = pandas.DataFrame({column: self.column(source, rows, column) for column in ("tokens", "loss")})
        return frame.drop_duplicates("tokens", keep="last").sort_values("tokens")


def read_tables(folder):
    tables = Tables(folder)
    if not tables.folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; locus compare makes one")
    if not any(tables.has(name) for name in TABLES):
        raise ValueError(f"{folder}: none of {', '.join(TABLES)}.csv is there; is it the folder of a comparison?")
    return tables


# ---------------------------------------------------------------- rows

def names(values):
    return ", ".join(str(value) if value != "" else "(empty)" for value in sorted(set(values))) or "nothing"


def where(tables, name, frame, column, value, place):
    """The rows whose column has this value, or an error that names the values there are. `place`: what they are of."""
    cells = tables.column(name, frame, column)
    rows = frame[cells == value]
    if rows.empty:
        there = names(int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells)
        raise MissingError(f"{place + ': ' if place else ''}{name}.csv has no {column} {value} (there are: {there})")
    return rows


@functools.cache
def finished_run(tables, source):
    """The rows of runs.csv of `block/run`, one for each seed, all of them done."""
    block, run = source.split("/")
    rows = where(tables, "runs", tables.table("runs"), "block", block, "")
    rows = where(tables, "runs", rows, "run", run, block)
    unfinished = {}
    for seed, status, reason in zip(*(tables.column("runs", rows, column) for column in ("seed", "status", "reason"))):
        if status != "done":
            unfinished.setdefault(status.replace("_", " ") + (f" ({reason})" if reason else ""), []).append(str(seed))
    if unfinished:
        raise MissingError("; ".join(f"{source}, seed {', '.join(seeds)}: {why}" for why, seeds in unfinished.items()))
    return rows


def rows_of_run(tables, name, source):
    """The rows of a table that belong to `block/run`."""
    block, run = source.split("/")
    finished_run(tables, source)
    rows = where(tables, name, tables.table(name), "block", block, "")
    return where(tables, name, rows, "run", run, block)


def by_seed(tables, name, rows, column, source, at=""):
    """seed -> value; a finished seed without a value is missing, two rows for one seed are a mistake. `at`: where in
    the run, for messages."""
    seeds, cells = tables.column(name, rows, "seed"), tables.column(name, rows, column)
    values = {}
    for seed, value in zip(seeds, cells):
        if seed in values:
            raise ValueError(f"{tables.folder / name}.csv: {source}{at}, seed {seed}: more than one row for one figure")
        if not math.isfinite(value):
            raise MissingError(f"{source}{at}: seed {seed} has no {column} in {name}.csv")
        values[int(seed)] = float(value)
    absent = sorted(set(finished_run(tables, source)["seed"]) - set(values))
    if absent:
        raise MissingError(f"{source}{at}: {name}.csv has no such row for seed {', '.join(map(str, absent))}")
    return values


# ---------------------------------------------------------------- figures: (tables, scheme, arguments) -> seed -> value

def of_lengths(column, tables, scheme, source, length, beyond=None):
    rows = rows_of_run(tables, "lengths", source)
    rows = where(tables, "lengths", rows, "scheme", scheme, source)
    rows = where(tables, "lengths", rows, "bucket", "all", source)
    rows = where(tables, "lengths", rows, "length", int(length), source)
    policies = list(dict.fromkeys(tables.column("lengths", rows, "beyond")))
    if beyond is None and len(policies) > 1:
        if (tables.column("lengths", rows, "train_length") < int(length)).any():
            raise MissingError(f"{source}: length {length} needs a policy of the table (there are: {names(policies)})")
        beyond = policies[0]  # no position lies beyond the table: all policies have the same figures
    rows = rows if beyond is None else where(tables, "lengths", rows, "beyond", beyond, source)
    return by_seed(tables, "lengths", rows, column, source, f" at length {length}")


def of_probes(column, tables, scheme, source, length, condition):
    rows = rows_of_run(tables, "probes", source)
    rows = where(tables, "probes", rows, "length", int(length), source)
    spelled = {name.replace(" ", "_"): name for name in tables.column("probes", rows, "condition")}
    condition = spelled.get(condition.replace(" ", "_"), condition)
    rows = where(tables, "probes", rows, "condition", condition, f"{source} at length {length}")
    return by_seed(tables, "probes", rows, column, source, f" at length {length}, {condition}")


def of_runs(column, tables, scheme, source):
    return by_seed(tables, "runs", finished_run(tables, source), column, source)


def of_times(column, tables, scheme, source):
    return by_seed(tables, "times", rows_of_run(tables, "times", source), column, source)


def of_steps(tables, scheme, run, length):
    rows = where(tables, "speed_by_length", tables.table("speed_by_length"), "run", run, "step_time")
    rows = where(tables, "speed_by_length", rows, "length", int(length), run)
    median = float(tables.column("speed_by_length", rows, "step_seconds").median())
    if not math.isfinite(median):
        raise MissingError(f"{run}: speed_by_length.csv has no step_seconds at length {length}")
    return {None: median}


def of_projection(column, tables, scheme, run, projection, when):
    rows = where(tables, "projection", tables.table("projection"), "run", run, column)
    rows = where(tables, "projection", rows, "projection", projection, run)
    values = {}
    for seed, of_seed in rows.groupby(tables.column("projection", rows, "seed")):
        steps = tables.column("projection", of_seed, "step")
        at = steps == (steps.min() if when == "first" else steps.max())
        values[int(seed)] = float(tables.column("projection", of_seed, column)[at].mean())
    return values


def loss_at_tokens(validations, tokens, place):
    """The validation loss after so many tokens, on the line between the validations around. The one before the first
    step does not count: a loss falls too steeply there for a line."""
    points = validations[validations["tokens"] > 0]
    if points.empty:
        raise MissingError(f"{place}: no validation after the first step")
    first, last = points["tokens"].iloc[0], points["tokens"].iloc[-1]
    if tokens < first * (1 - ROUNDING):
        raise MissingError(f"{place}: no validation before token {tokens:.0f} (train.evaluate_every asks for more)")
    if tokens > last * (1 + ROUNDING):
        raise MissingError(f"{place}: it had ended before, after {last:.0f} tokens instead of {tokens:.0f} "
                           "(compare the other way round)")
    return float(numpy.interp(tokens, points["tokens"], points["loss"]))


def loss_at_time_of(tables, scheme, source, other):
    speed, other_speed = (pandas.Series(of_times("tokens_per_second", tables, scheme, name)).median()
                          for name in (source, other))
    ends = of_runs("tokens", tables, scheme, other)
    block, run = source.split("/")
    values = {}
    for seed in finished_run(tables, source)["seed"]:
        if seed in ends:
            validations = tables.validations(block, run, seed)
            place = f"{source} seed {seed} at the time of {other}"
            values[int(seed)] = loss_at_tokens(validations, ends[seed] * speed / other_speed, place)
    return values


FUNCTIONS = {  # name: how the figure is found, its arguments; those after the bar may be left away
    "loss": (functools.partial(of_lengths, "loss"), "block/run, length | beyond"),
    "delta": (functools.partial(of_lengths, "delta"), "block/run, length | beyond"),
    "accuracy": (functools.partial(of_probes, "accuracy"), "block/run, length, condition"),
    "probe_loss": (functools.partial(of_probes, "loss"), "block/run, length, condition"),
    "floor_loss": (functools.partial(of_probes, "floor_loss"), "block/run, length, condition"),
    "floor_accuracy": (functools.partial(of_probes, "floor_accuracy"), "block/run, length, condition"),
    "validation_loss": (functools.partial(of_runs, "validation_loss"), "block/run"),
    "parameters": (functools.partial(of_runs, "parameters"), "block/run"),
    "seconds": (functools.partial(of_times, "seconds"), "block/run"),
    "loss_at_time_of": (loss_at_time_of, "block/run, block/other"),
    "step_time": (of_steps, "run, length"),
    "toeplitz_share": (functools.partial(of_projection, "toeplitz_share"), "run, projection, when"),
    "antisymmetric_share": (functools.partial(of_projection, "antisymmetric_share"), "run, projection, when"),
}


# ---------------------------------------------------------------- reading a quantity

@dataclasses.dataclass
class Quantity:
    text: str
    figures: list   # (function, [argument, ...]), in the order of the text
    tree: ast.expr  # arithmetic over figure_0, figure_1, ...


CALL = re.compile(r"([A-Za-z_]\w*)\s*\(([^()]*)\)")
NUMBER = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w.])")
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def checked_arguments(function, text):
    """The arguments of one call, bare text between commas."""
    if function not in FUNCTIONS:
        raise ValueError(f'there is no function "{function}"; there are: {", ".join(FUNCTIONS)}')
    signature = FUNCTIONS[function][1]
    required, _, optional = signature.partition(" | ")
    kinds = [kind for kind in (required + ", " + optional).split(", ") if kind]
    arguments = [argument.strip() for argument in text.split(",")]
    usage = f"{function}({required}{'[, ' + optional + ']' if optional else ''})"
    if not len(required.split(", ")) <= len(arguments) <= len(kinds) or "" in arguments:
        raise ValueError(f"{function}({text}): it is called as {usage}")
    for kind, argument in zip(kinds, arguments):
        if "/" in kind and not re.fullmatch(r"[^/\s]+/[^/\s]+", argument):
            raise ValueError(f'{function}({text}): "{argument}" should be {kind}, as in {usage}')
        if kind == "length" and not re.fullmatch(r"[1-9]\d*", argument):
            raise ValueError(f'{function}({text}): the length should be a number, it is "{argument}"')
        if kind == "when" and argument not in ("first", "last"):
            raise ValueError(f'{function}({text}): the last argument is first or last, not "{argument}"')
    return arguments


def check_operations(node):
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        check_operations(node.left)
        check_operations(node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        check_operations(node.operand)
    elif not (isinstance(node, ast.Name) or isinstance(node, ast.Constant) and isinstance(node.value, (int, float))):
        raise ValueError("only + - * / and parentheses join the figures")


def parse(text):
    """Reads a quantity; says what is wrong with it and in which one."""
    try:
        figures = [(call[1], checked_arguments(call[1], call[2])) for call in CALL.finditer(text)]
        rest = re.sub(r"[\s()+*/-]", "", NUMBER.sub("", CALL.sub("", text)))
        if rest:
            raise ValueError(f'"{rest}" is neither a number nor a function, which looks like loss(block/run, length)')
        if not figures:
            raise ValueError("it measures nothing")
        numbered = iter(range(len(figures)))
        try:
            tree = ast.parse(CALL.sub(lambda call: f"figure_{next(numbered)}", text).strip(), mode="eval").body
        except SyntaxError:
            raise ValueError("this is no sum, product or quotient of figures; is a parenthesis missing?") from None
        check_operations(tree)
    except ValueError as error:
        raise ValueError(f'quantity "{text}": {error}') from None
    return Quantity(text, figures, tree)


# ---------------------------------------------------------------- measuring a quantity

def value_of(node, figures):
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        return figures[int(node.id.removeprefix("figure_"))]
    if isinstance(node, ast.UnaryOp):
        value = value_of(node.operand, figures)
        return -value if isinstance(node.op, ast.USub) else value
    return OPERATIONS[type(node.op)](value_of(node.left, figures), value_of(node.right, figures))


def evaluate(quantity, tables, scheme):
    """seed -> value; {None: value} when no figure has seeds. `quantity`: a text or what parse() gave."""
    quantity = parse(quantity) if isinstance(quantity, str) else quantity
    figures, missing = [], []
    for function, arguments in quantity.figures:
        try:
            figures.append(FUNCTIONS[function][0](tables, scheme, *arguments))
        except MissingError as error:
            missing.append(str(error))
    if missing:
        raise MissingError("; ".join(dict.fromkeys(missing)))
    seeded = [set(figure) for figure in figures if None not in figure]
    seeds = sorted(set.intersection(*seeded)) if seeded else [None]
    if not seeds:
        raise MissingError(f'quantity "{quantity.text}": no seed has all of its figures')
    try:
        return {seed: value_of(quantity.tree, [figure.get(seed, figure.get(None)) for figure in figures])
                for seed in seeds}
    except ZeroDivisionError:
        raise MissingError(f'quantity "{quantity.text}": a division by zero') from None
