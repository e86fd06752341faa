#!/usr/bin/env python3
"""Compares the speed of training: `locus bench` and the same step in PyTorch (peer_pytorch.py), in turns, and writes a Markdown table.

    scripts/compare_speed.py --python VENV/bin/python                 tiny and small, float32, length 128
    scripts/compare_speed.py --python VENV/bin/python --size tiny --length 512 --compile --rounds 5
    scripts/compare_speed.py --python VENV/bin/python --size tiny --position disentangled
    scripts/compare_speed.py --size tiny --encodings absolute disentangled rope alibi t5_bias      Locus alone, against the first of the list
    scripts/compare_speed.py --device cuda --size base --length 512 128 --precision bfloat16 --library transformers --compile
    scripts/compare_speed.py --device cuda --size base --length 512 --precision bfloat16 --position disentangled --library transformers

Runs alternate (A B A B ...), because other work on the machine comes and goes; each figure is the median over the rounds, with the lowest
and the highest. "% of peak" is against the rate of fused multiply-adds that `locus bench` measures between its steps, on a GPU against that of one large
product in the run's precision; the arithmetic of both programs is counted as Locus counts its own. Memory is the largest resident set of each program;
on a GPU, all device memory that Locus has asked for beside the most that PyTorch's tensors held.

With a library's model (--library) `disentangled` is DeBERTa version 3's for both: span 512, 256 buckets, shared projections. A peer that
cannot run leaves Locus's figures without its own, and the reason; the exit code is then 69 where the peer is not there (no torch, no such library), else 1.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

import peer_pytorch
import peer_transformers
from measured_program import ProgramError, Stopped, run_json, stop_when_told

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGURATION = """run: {{name: speed, precision: {precision}, threads: {threads}, device: {device}}}
data:
  synthetic: {{megabytes: 8}}
  tokenizer: {{type: wordpiece, vocab_size: {vocabulary}}}
  sequence_length: {length}
  masking: {{probability: {masked}}}
model:
  layers: {layers}
  hidden: {hidden}
  heads: {heads}
  feed_forward: {feed_forward}
  max_length: {length}
  dropout: {{hidden: {dropout}, attention: {dropout}}}
  {position}
train:
  batch_size: {batch}
  optimizer: {{clip: 1.0}}
"""
DEBERTA_V3 = (f"position: {{encoding: disentangled, terms: [c2p, p2c], max_distance: {peer_transformers.SPAN}, buckets: {peer_transformers.BUCKETS}, "
              "share_projections: true, table_norm: true}\n  architecture: deberta-v2\n  mask_decoder: plain")


def configuration(size, length, options, position):
    of_library = position == "disentangled" and options.library != "pytorch"
    return CONFIGURATION.format(**{**peer_pytorch.SIZES[size], "batch": batch_size(size, length)}, length=length, precision=options.precision,
                                position=DEBERTA_V3 if of_library else f"position: {position}", threads=options.threads, device=options.device,
                                masked=peer_pytorch.MASKED_SHARE, dropout=peer_pytorch.DROPOUT)


def batch_size(size, length):
    """As many tokens per step at every length."""
    return max(1, peer_pytorch.SIZES[size]["batch"] * 128 // length)


def compare(size, length, options, folder, ours, theirs):
    """Adds the results of locus and of the peer, one for each round. A ProgramError when the peer did not run."""
    config = pathlib.Path(folder, f"{size}-{length}.yaml")
    config.write_text(configuration(size, length, options, options.position), encoding="utf-8")
    locus = [options.locus, "bench", config, "--json", "--steps", options.steps]
    peer = [options.python, ROOT / "scripts" / "peer_pytorch.py", size, "--length", str(length), "--batch", str(batch_size(size, length)),
            "--precision", options.precision, "--threads", str(options.threads), "--steps", str(options.steps),
            "--position", options.position, "--library", options.library, "--device", options.device]
    peer += ["--warmup", "10"] * (options.device == "cuda")
    peer += ["--compile"] * options.compile + ["--stock"] * options.stock + ["--all-rows"] * options.all_rows
    for done in range(options.rounds):
        print(f"{size}, length {length}: round {done + 1} of {options.rounds}", file=sys.stderr)
        ours.append(run_json(locus))
        try:
            theirs.append(run_json(peer))
        except ProgramError as error:
            return error
    return None


def compare_encodings(size, length, options, folder, results):
    """Adds results of locus for each encoding but the first, one for each round; each steps in turns with the first."""
    first = options.encodings[0]
    for done in range(options.rounds):
        for other in results:
            print(f"{size}, length {length}, {other}: round {done + 1} of {options.rounds}", file=sys.stderr)
            config = pathlib.Path(folder, f"{size}-{length}-{other}.yaml")
            config.write_text(configuration(size, length, options, other), encoding="utf-8")
            results[other].append(run_json([options.locus, "bench", config, "--json", "--steps", options.steps,
                                            "--beside", f"model.position={first}", "model.architecture=bert"]))


def measure(options, folder, measured):
    """Fills `measured` run by run, so that what there is can be told when we are stopped."""
    for size in options.size:
        for length in options.length:
            if options.encodings:
                measured[size, length] = {other: [] for other in options.encodings[1:]}
                compare_encodings(size, length, options, folder, measured[size, length])
            else:
                ours, theirs = measured[size, length] = [], []
                error = compare(size, length, options, folder, ours, theirs)
                if error:
                    measured[size, length] = ours, error


def begun(measured, options):
    """Without what there are no figures of."""
    if options.encodings:
        there = {key: {other: ours for other, ours in results.items() if ours} for key, results in measured.items()}
        return {key: results for key, results in there.items() if results}
    missing = ProgramError("stopped before it was done")
    return {key: (ours, theirs or missing) for key, (ours, theirs) in measured.items() if ours}


def encodings_table(measured, options):
    """The ratio is the median over the rounds, each the median of pairs of steps; the range is that of the quartiles of the rounds."""
    first = options.encodings[0]
    lines = [f"| model | length | encoding | tokens/s: median (range) | speed, {first} in turns = 1 | quartiles of pairs |", "|---|---:|---|---:|---:|---:|"]
    for (size, length), results in measured.items():
        for encoding, ours in results.items():
            median, low, high = spread(ours, "tokens_per_second")
            pairs = [result["beside"] for result in ours]
            quartiles = min(pair["lower_quartile"] for pair in pairs), max(pair["upper_quartile"] for pair in pairs)
            lines.append(f"| {size} | {length} | {encoding} | {median:,.0f} ({low:,.0f} to {high:,.0f}) | **{spread(pairs, 'ratio')[0]:.2f}** | "
                         f"{quartiles[0]:.2f} to {quartiles[1]:.2f} |")
    return "\n".join(lines)


def spread(results, field):
    values = [result[field] for result in results]
    return statistics.median(values), min(values), max(values)


def row(name, results, peak):
    median, low, high = spread(results, "tokens_per_second")
    share = 100 * statistics.median(result["gflops"] for result in results) / peak
    return f"{name} | {median:,.0f} ({low:,.0f} to {high:,.0f}) | {share:.0f} | {mebibytes(results):,.0f}"


def mebibytes(results):
    """Largest resident set of the whole program, libraries and all; on a GPU the memory there."""
    return spread(results, "device_memory_bytes" if results[0].get("device") == "cuda" else "peak_memory_bytes")[0] / 2**20


def table(measured, options):
    on_gpu, compiled = options.device == "cuda", ", compiled" if options.compile else ""
    lines = [f"| model | length | program | tokens/s: median (range) | % of {'product' if on_gpu else 'FMA'} peak | "
             f"{'GPU' if on_gpu else 'peak'} memory, MiB | ratio of speeds | ratio of memory |",
             "|---|---:|---|---:|---:|---:|---:|---:|"]
    for (size, length), (ours, theirs) in measured.items():
        peak = statistics.median(result["peak_gflops"] for result in ours)
        if isinstance(theirs, ProgramError):
            lines.append(f"| {size} | {length} | {row('Locus', ours, peak)} | | |")
            lines.append(f"| | | {options.library}{compiled} | not measured: {(theirs.reason or str(theirs)).replace('|', '/')} | | | | |")
            continue
        ratio = spread(ours, "tokens_per_second")[0] / spread(theirs, "tokens_per_second")[0]
        memory = mebibytes(ours) / mebibytes(theirs)
        lines.append(f"| {size} | {length} | {row('Locus', ours, peak)} | **{ratio:.2f}** | **{memory:.2f}** |")
        lines.append(f"| | | {row(theirs[0].get('library', 'PyTorch') + compiled, theirs, peak)} | 1 | 1 |")
    both = [pair for pair in measured.values() if not isinstance(pair[1], ProgramError)]
    return "\n".join([*lines, "", circumstances(*both[0], options)] if both else lines)


def circumstances(ours, theirs, options):
    peer = theirs[0]
    if "gpu" in peer:
        peak = statistics.median(result["peak_gflops"] for result in ours) / 1e3
        return (f"{peer['gpu']}, {options.position} positions, {options.precision}; products {peak:,.0f} TFLOP/s; PyTorch {peer['torch']}, CUDA {peer['cuda']}, "
                f"{peer['optimizer']} AdamW; {len(theirs)} rounds in turns, medians.")
    return (f"{peer['cpu']}, {peer['threads']} threads, {options.precision}; PyTorch {peer['torch']} ({peer['allocator']} allocator, "
            f"{peer['optimizer']} AdamW, {peer['instruction_set']}); {len(theirs)} rounds in turns, medians.")


def tell(text, options):
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="a python that has torch (default: the one that runs this script)")
    parser.add_argument("--locus", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--size", nargs="+", choices=peer_pytorch.SIZES, default=["tiny", "small"])
    parser.add_argument("--length", nargs="+", type=int, default=[128])
    parser.add_argument("--position", choices=["absolute", "disentangled"], default="absolute", help="of both programs")
    parser.add_argument("--encodings", nargs="+", default=[], metavar="NAME", help="compare these with the first of them, steps in turns, without the peer")
    parser.add_argument("--library", choices=["pytorch", *peer_transformers.LIBRARIES], default="pytorch", help="whose model the peer has (default: the one of peer_pytorch.py)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of both programs")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile for the peer")
    parser.add_argument("--stock", action="store_true", help="leave the peer's allocator as it is: slower, and it keeps less memory")
    parser.add_argument("--all-rows", action="store_true", help="the peer's head on all rows, as libraries have it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="steps of each program in each round")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores that the process may use")
    parser.add_argument("--output", type=pathlib.Path, help="also write the table into this file")
    options = parser.parse_args()
    stop_when_told()
    measured, failure = {}, None
    try:
        with tempfile.TemporaryDirectory(prefix="locus-speed-") as folder:
            measure(options, folder, measured)
    except (ProgramError, Stopped, OSError) as error:
        failure = error
    measured = begun(measured, options)
    try:
        if measured:
            tell(encodings_table(measured, options) if options.encodings else table(measured, options), options)
    except OSError as error:
        failure = error
    if failure:
        sys.exit(f"compare_speed.py: {failure}")
    codes = {} if options.encodings else {theirs.code for _, theirs in measured.values() if isinstance(theirs, ProgramError)}
    if codes:
        sys.exit(peer_pytorch.NOT_HERE if codes == {peer_pytorch.NOT_HERE} else 1)


if __name__ == "__main__":
    main()
