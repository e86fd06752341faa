#!/usr/bin/env python3
"""Kernels on a GPU: attention beside PyTorch's flash attention (peer_attention.py), the others beside the rate of copying. Two tables in Markdown.

    scripts/compare_kernels.py --benchmark build/cuda/tests/benchmarks/gpu_benchmark
    scripts/compare_kernels.py --benchmark build/release/tests/benchmarks/gpu_benchmark --device simt       tiny shapes: only that it runs

Exit code 69: the peer cannot be had here; the tables then stand without it.
"""

import argparse
import pathlib
import sys

import peer_attention
from measured_program import ProgramError, Stopped, run_json, stop_when_told

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_benchmark(options):
    """What Google Benchmark wrote: {"context": ..., "benchmarks": [...]}"""
    return run_json([options.benchmark, f"--device={options.device}", "--benchmark_format=json"])


def run_peer(options):
    """TFLOP/s by (pass, with dropout, length), or a ProgramError."""
    try:
        result = run_json([options.python, ROOT / "scripts" / "peer_attention.py"])
    except ProgramError as error:
        return error
    except Stopped as error:
        return ProgramError(str(error))
    return {(name, run["dropout"], run["length"]): run[name] for run in result["attention"] for name in ("forward", "backward")}


def microseconds(benchmark):
    return benchmark["real_time"] * {"ns": 1e-3, "us": 1, "ms": 1e3}[benchmark["time_unit"]]


def attention_table(benchmarks, peer):
    lines = ["| attention, bfloat16, heads of 64 | length | time, us | TFLOP/s | PyTorch's flash attention, TFLOP/s | ratio |", "|---|---:|---:|---:|---:|---:|"]
    for benchmark in benchmarks:
        name, kind, length = benchmark["name"].split("/")[:3]
        place = (name.removeprefix("attention_"), kind.endswith("_dropout"), int(length))
        theirs = peer.get(place) if kind.startswith("plain") and isinstance(peer, dict) else None
        beside = f"{theirs:,.1f} | **{benchmark['TFLOP/s'] / theirs:.2f}**" if theirs else " | "
        lines.append(f"| {place[0]}, {kind.replace('_', ', ')} | {length} | {microseconds(benchmark):,.0f} | {benchmark['TFLOP/s']:,.3g} | {beside} |")
    return lines


def copying_table(benchmarks, copy_rate):
    lines = [f"| kernel | time, us | GB/s | % of copying ({copy_rate:,.0f} GB/s) |", "|---|---:|---:|---:|"]
    for benchmark in benchmarks:
        name = benchmark["name"].split("/")[0].replace("_", " ")
        lines.append(f"| {name} | {microseconds(benchmark):,.0f} | {benchmark['GB/s']:,.3g} | {benchmark['percent_of_copy']:.0f} |")
    return lines


def tables(result, peer):
    attention = [benchmark for benchmark in result["benchmarks"] if "TFLOP/s" in benchmark]
    others = [benchmark for benchmark in result["benchmarks"] if "GB/s" in benchmark]
    lines = attention_table(attention, peer) + [""]
    if isinstance(peer, ProgramError):
        lines += [f"PyTorch's was not measured: {peer.reason or peer}", ""]
    lines += copying_table(others, float(result["context"]["copy_gigabytes_per_second"]))
    refused = [f"{benchmark['name'].replace('/', ' ')} was not measured: {benchmark['error_message']}" for benchmark in failed(result)]
    return lines + [""] * bool(refused) + refused


def failed(result):
    return [benchmark for benchmark in result["benchmarks"] if benchmark.get("error_occurred")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", type=pathlib.Path, default=ROOT / "build" / "cuda" / "tests" / "benchmarks" / "gpu_benchmark")
    parser.add_argument("--python", default=sys.executable, help="a python that has torch (default: the one that runs this script)")
    parser.add_argument("--device", choices=["cuda", "simt"], default="cuda")
    options = parser.parse_args()
    stop_when_told()
    try:
        result = run_benchmark(options)
    except (ProgramError, Stopped) as error:
        sys.exit(f"compare_kernels.py: {getattr(error, 'reason', '') or error}")
    peer = run_peer(options) if options.device == "cuda" else {}
    print("\n".join(tables(result, peer)))
    if failed(result):
        sys.exit(1)
    if isinstance(peer, ProgramError):
        sys.exit(peer_attention.NOT_HERE if peer.code == peer_attention.NOT_HERE else 1)


if __name__ == "__main__":
    main()
