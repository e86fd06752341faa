"""Tables of a comparison with a few rows, as `locus compare` writes them, for the tests of scripts/reporting."""

import csv
import pathlib


class TinyComparison:
    def __init__(self):
        self.rows = {}

    def add(self, table, **cells):
        self.rows.setdefault(table, []).append(cells)

    def add_run(self, block, run, seed, **changes):
        cells = {"block": block, "run": run, "seed": seed, "encoding": run, "status": "done", "steps": 10,
                 "tokens": 1000, "train_length": 32, "validation_loss": 2.5, "validation_accuracy": 0.3, "parameters": 100,
                 "configuration": "0123456789abcdef", "reason": ""}
        self.add("runs", **{**cells, **changes})

    def add_losses(self, block, run, losses, beyond="", scheme="centred", bucket="all", done=True):
        """losses: {seed: {length: loss}}; the first length is the trained one. done: with a row in runs.csv."""
        for seed, by_length in losses.items():
            if done:
                self.add_run(block, run, seed)
            trained = next(iter(by_length))
            for length, loss in by_length.items():
                self.add("lengths", block=block, run=run, seed=seed, encoding=run, beyond=beyond, train_length=trained,
                         length=length, scheme=scheme, bucket=bucket, bucket_begin=0, bucket_end=length, loss=loss,
                         masked_accuracy=0.3, masked_tokens=99, loss_ci_low="", loss_ci_high="",
                         delta=loss - by_length[trained], delta_ci_low="", delta_ci_high="")

    def add_accuracies(self, block, run, accuracies, length=32, condition="all", done=True):
        """accuracies: {seed: accuracy}"""
        for seed, accuracy in accuracies.items():
            if done:
                self.add_run(block, run, seed)
            self.add("probes", block=block, run=run, seed=seed, probe="p", variant="", boundary="none", encoding=run,
                     condition=condition, train_length=32, length=length, loss=1 - accuracy, accuracy=accuracy,
                     targets=100, accuracy_ci_low=0, accuracy_ci_high=1, floor_loss=0.5, floor_accuracy=0.25, ceiling_accuracy=1)

    def add_time(self, block, run, seed, tokens_per_second, seconds=1):
        self.add("times", block=block, run=run, seed=seed, tokens_per_second=tokens_per_second, seconds=seconds,
                 evaluation_seconds=1, peak_memory_bytes=1)

    def add_step_time(self, run, length, seconds, repeat=1):
        self.add("speed_by_length", run=run, length=length, repeat=repeat, forward_seconds=0.01, step_seconds=seconds,
                 tokens=1024, peak_memory_bytes=1)

    def write(self, folder):
        for table, rows in self.rows.items():
            path = pathlib.Path(folder, f"{table}.csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        return folder
