#!/usr/bin/env python3
"""The peer of gpu_benchmark's attention: PyTorch's flash attention, forward and backward, in TFLOP/s. One JSON object on the standard output.

    python scripts/peer_attention.py                                      lengths 512, 2048, 8192, as many tokens of each; bfloat16, 12 heads of 64
    python scripts/peer_attention.py --device cpu --tokens 256 --lengths 64 --heads 1

scaled_dot_product_attention with the flash backend and no other; with --device cpu whichever backend there is. Multiply-adds count as 2: 2 products forward, 5
backward (scores computed again included). The device is waited for once after many calls. Exit code 69: no torch or no GPU here.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time

NOT_HERE = 69
HEAD_DIM, ROUNDS = 64, 5


def seconds_per_call(work, wait, calls):
    """Median over a few rounds."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        wait()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        wait()
        seconds.append((time.perf_counter() - start) / calls)
    return statistics.median(seconds)


def measure(length, dropout, options):
    """{"forward": TFLOP/s, "backward": TFLOP/s}"""
    import torch
    from torch.nn import functional as F
    batch = options.tokens // length
    shape = (batch, options.heads, length, HEAD_DIM)
    q, k, v = (torch.randn(shape, device=options.device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    gradient = torch.randn(shape, device=options.device, dtype=torch.bfloat16)
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    calls = 20 if options.device == "cuda" else 1

    def attend():
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)

    out = attend()
    forward = seconds_per_call(attend, wait, calls)
    backward = seconds_per_call(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True), wait, calls)
    product = 2 * batch * options.heads * length**2 * HEAD_DIM
    return {"forward": 2e-12 * product / forward, "backward": 5e-12 * product / backward}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--heads", type=int, default=12)
    options = parser.parse_args()
    try:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError as error:
        print(f"peer_attention.py: {error}", file=sys.stderr)
        sys.exit(NOT_HERE)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"peer_attention.py: PyTorch {torch.__version__} sees no GPU here", file=sys.stderr)
        sys.exit(NOT_HERE)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION) if options.device == "cuda" else contextlib.nullcontext():
        runs = [{"length": length, "dropout": dropout > 0, **measure(length, dropout, options)} for length in options.lengths for dropout in (0.0, 0.1)]
    print(json.dumps({"torch": torch.__version__, "attention": runs}))


if __name__ == "__main__":
    main()
