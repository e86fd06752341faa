#!/usr/bin/env python3
"""The peer: the same training step in PyTorch, to measure `locus bench` against. One JSON object on the standard output.

    python scripts/peer_pytorch.py tiny                          4 layers of 256, batch 32, length 128
    python scripts/peer_pytorch.py small --precision bfloat16 --compile
    python scripts/peer_pytorch.py tiny --length 512 --batch 8 --steps 20
    python scripts/peer_pytorch.py tiny --position disentangled    DeBERTa's attention, span = length
    python scripts/peer_pytorch.py base --device cuda --precision bfloat16 --length 512 --library transformers --compile

Everything that a careful user of PyTorch would do is done: scaled_dot_product_attention, the head on the masked rows only, fused AdamW where
the version has it, gradients set to None, weights tied. Dropout 0.1, clipping to norm 1, exact GELU, post-LN, learned positions: BERT.
Positions, masks and ids are drawn before the clock starts.

Disentangled attention is written as DeBERTa's official code has it, with batched products and gathers: content times every relative position
[batch, heads, S, 2 S], gathered to [batch, heads, S, S], for both terms; scaled_dot_product_attention cannot express it without them.

--library takes the model of a library instead (peer_transformers.py); the step around it stays the same. Exit code 69: what was asked for cannot be
had here (no torch, no GPU, no such library).

On a GPU the batches lie there before the clock starts, and nobody waits for the device from the first step that counts to the last: while it is at one step,
the next is queued, as in training. The time of a step is then the mean, else the median.

An environment that presets OPENBLAS_CORETYPE can halve the speed of PyTorch, and glibc's malloc gives large blocks back to the system after
each step. This script therefore starts itself again with OPENBLAS_CORETYPE unset and

    MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=200000000
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1

--stock leaves the environment as it is.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time

import peer_transformers

TUNED = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "200000000",
         "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
SIZES = {
    "tiny": dict(layers=4, hidden=256, heads=4, feed_forward=1024, vocabulary=8192, batch=32),
    "small": dict(layers=6, hidden=512, heads=8, feed_forward=2048, vocabulary=8192, batch=16),
    "base": dict(layers=12, hidden=768, heads=12, feed_forward=3072, vocabulary=30522, batch=256),  # for a GPU
}
DROPOUT, MASKED_SHARE, IGNORED = 0.1, 0.15, 5
NOT_HERE = 69  # exit code


def restart_tuned():
    if all(os.environ.get(name) == value for name, value in TUNED.items()) and "OPENBLAS_CORETYPE" not in os.environ:
        return
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"} | TUNED
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def build_model(size, length, position, all_rows):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def written_out(q, k, v, dropout):
        """PyTorch 1.13 has no scaled_dot_product_attention."""
        score = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
        return F.dropout(score.softmax(-1), dropout) @ v

    def library(q, k, v, dropout):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)

    plain = library if hasattr(F, "scaled_dot_product_attention") else written_out

    class Block(nn.Module):
        def __init__(self, hidden, heads, feed_forward):
            super().__init__()
            self.heads = heads
            self.qkv = nn.Linear(hidden, 3 * hidden)
            self.out = nn.Linear(hidden, hidden)
            self.up, self.down = nn.Linear(hidden, feed_forward), nn.Linear(feed_forward, hidden)
            self.norm1, self.norm2 = nn.LayerNorm(hidden, eps=1e-12), nn.LayerNorm(hidden, eps=1e-12)

            if position == "disentangled":
                self.position_key, self.position_query = nn.Linear(hidden, hidden, bias=False), nn.Linear(hidden, hidden)

        def disentangled(self, q, k, v, table):
            """softmax((q k + c2p + p2c) / sqrt(3 d)) v with index clamp(i - j + span, 0, 2 span - 1)."""
            batch, heads, length, head_dim = q.shape
            table = F.dropout(table, DROPOUT, self.training)
            key, query = (projection(table).view(-1, heads, head_dim).permute(1, 2, 0)
                          for projection in (self.position_key, self.position_query))
            scale = 1 / (3 * head_dim) ** 0.5
            place = torch.arange(length, device=q.device)
            index = place[:, None] - place[None, :] + table.shape[0] // 2
            index = index.clamp(0, table.shape[0] - 1).expand(batch, heads, length, length)
            score = (q * scale) @ k.transpose(-1, -2)
            score = score + ((q * scale) @ key).gather(-1, index)
            score = score + ((k * scale) @ query).gather(-1, index.transpose(-1, -2)).transpose(-1, -2)
            return F.dropout(score.softmax(-1), DROPOUT, self.training) @ v

        def attention(self, x, table):
            batch, length, hidden = x.shape
            q, k, v = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
            dropout = DROPOUT if self.training else 0.0
            if table is None:
                context = plain(q, k, v, dropout)
            else:
                context = self.disentangled(q, k, v, table)
            return self.out(context.transpose(1, 2).reshape(batch, length, hidden))

        def forward(self, x, table):
            x = self.norm1(x + F.dropout(self.attention(x, table), DROPOUT, self.training))
            return self.norm2(x + F.dropout(self.down(F.gelu(self.up(x))), DROPOUT, self.training))

    class Bert(nn.Module):
        def __init__(self, layers, hidden, heads, feed_forward, vocabulary):
            super().__init__()
            self.words, self.types = nn.Embedding(vocabulary, hidden), nn.Embedding(2, hidden)
            self.positions = nn.Embedding(length if position == "absolute" else 2 * length, hidden)
            self.norm = nn.LayerNorm(hidden, eps=1e-12)
            self.blocks = nn.ModuleList(Block(hidden, heads, feed_forward) for _ in range(layers))
            self.transform, self.head_norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, eps=1e-12)
            self.output_bias = nn.Parameter(torch.zeros(vocabulary))
            for parameter in self.parameters():
                if parameter.dim() == 2:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, ids, masked_rows, targets):
            x = self.words(ids) + self.types.weight[0]
            if position == "absolute":
                x = x + self.positions.weight[:ids.shape[1]]
            x = F.dropout(self.norm(x), DROPOUT, self.training)
            for block in self.blocks:
                x = block(x, None if position == "absolute" else self.positions.weight)
            x = x.reshape(-1, x.shape[-1])
            if all_rows:  # as libraries do it: logits of every row, the loss ignores those without a target
                targets = torch.full((x.shape[0],), -100, device=x.device).index_copy(0, masked_rows, targets)
            else:
                x = x[masked_rows]
            x = self.head_norm(F.gelu(self.transform(x)))
            return F.cross_entropy(F.linear(x, self.words.weight, self.output_bias).float(), targets)

    return Bert(**{name: value for name, value in size.items() if name != "batch"})


def make_optimizer(model):
    """AdamW without decay on biases and norms; fused where this version has it for the device. Returns (optimizer, how)."""
    import torch
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.01},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    options = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
    try:
        return torch.optim.AdamW(groups, fused=True, **options), "fused"
    except (TypeError, RuntimeError):
        return torch.optim.AdamW(groups, foreach=True, **options), "foreach"


def make_batches(batch, length, vocabulary, count, device):
    """(ids, masked rows, targets); the same number of masked rows each time, so that a compiled model keeps its shapes."""
    import torch
    generator = torch.Generator().manual_seed(1)
    batches = []
    for _ in range(count):
        ids = torch.randint(IGNORED, vocabulary, (batch, length), generator=generator)
        rows = torch.randperm(batch * length, generator=generator)[:round(MASKED_SHARE * batch * length)].sort().values
        batches.append(tuple(part.to(device) for part in (ids, rows, ids.reshape(-1)[rows])))
    return batches


def make_model(options, size):
    if options.library == "pytorch":
        return build_model(size, options.length, options.position, options.all_rows)
    return peer_transformers.build_model(options.library, size, options.length, options.position, DROPOUT)


def make_step(options, model, optimizer):
    """step(batch) trains on a batch and returns the loss, where it was computed."""
    import torch
    forward = torch.compile(model) if options.compile else model
    precision = torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bfloat16")

    def step(batch):
        with precision:
            loss = forward(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def measure(options, size):
    """(seconds of a step, losses, what AdamW is)"""
    import torch
    model = make_model(options, size).to(options.device).train()
    optimizer, kind = make_optimizer(model)
    step = make_step(options, model, optimizer)
    batches = make_batches(options.batch, options.length, size["vocabulary"], options.warmup + options.steps, options.device)
    losses = [step(batch) for batch in batches[:options.warmup]]
    if options.device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    start = time.perf_counter()
    for batch in batches[options.warmup:]:
        begin = time.perf_counter()
        losses.append(step(batch))
        seconds.append(time.perf_counter() - begin)
    if options.device == "cuda":
        torch.cuda.synchronize()
        seconds = [(time.perf_counter() - start) / options.steps]
    return statistics.median(seconds), [loss.item() for loss in losses], kind


def step_gflop(size, batch, length, position):
    """Matrix products and attention of one step, as `locus bench` counts them: three times the forward, multiply-adds as 2."""
    hidden, feed_forward = size["hidden"], size["feed_forward"]
    tables = 2 if position == "disentangled" else 0
    layer = 8 * hidden**2 + 4 * hidden * feed_forward + 4 * length * hidden * (1 + tables)
    head = MASKED_SHARE * (2 * hidden**2 + 2 * hidden * size["vocabulary"])
    return 3e-9 * batch * length * (size["layers"] * layer + head)


def cannot_be_had(options):
    """A sentence, or nothing."""
    packages = {"pytorch": (), "transformers": ("transformers",), "flashdeberta": ("transformers", "flashdeberta", "einops", "triton")}
    for package in ("torch", *packages[options.library]):
        if importlib.util.find_spec(package) is None:
            return f"this python has no {package}"
    import torch
    if options.device == "cuda" and not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} sees no GPU here"
    return ""


def library_name(library):
    return "PyTorch" if library == "pytorch" else f"{library} {peer_transformers.version(library)}"


def gpu_figures():
    import torch
    return {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "device_memory_bytes": torch.cuda.max_memory_allocated()}


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--position", choices=["absolute", "disentangled"], default="absolute")
    parser.add_argument("--library", choices=["pytorch", *peer_transformers.LIBRARIES], default="pytorch", help="whose model (default: ours, in this file)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, help="sequences per step (default: 32 for tiny, 16 for small, 256 for base)")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="bfloat16: autocast, float32 weights")
    parser.add_argument("--compile", action="store_true", help="torch.compile; the warm-up then takes a minute or more")
    parser.add_argument("--all-rows", action="store_true", help="the head on all rows instead of the masked ones")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores that the process may use")
    parser.add_argument("--stock", action="store_true", help="leave the allocator's environment as it is")
    options = parser.parse_args()
    if options.library == "flashdeberta" and (options.position, options.device) != ("disentangled", "cuda"):
        parser.error("flashdeberta is for --position disentangled on --device cuda")
    if not options.stock and options.device == "cpu":
        restart_tuned()
    reason = cannot_be_had(options)
    if reason:
        print(f"peer_pytorch.py: {reason}", file=sys.stderr)
        sys.exit(NOT_HERE)
    import torch

    size = SIZES[options.size]
    options.batch = options.batch or size["batch"]
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    step, losses, optimizer = measure(options, size)
    print(json.dumps({
        "program": "pytorch", "library": library_name(options.library), "device": options.device, "size": options.size, "position": options.position, "precision": options.precision, "compile": options.compile,
        "batch": options.batch, "length": options.length, "steps": options.steps,
        "tokens_per_second": options.batch * options.length / step, "milliseconds_per_step": 1e3 * step,
        "gflops": step_gflop(size, options.batch, options.length, options.position) / step,
        "first_loss": losses[0], "last_loss": losses[-1], "optimizer": optimizer,
        "allocator": "stock" if options.stock else "tuned", "threads": torch.get_num_threads(), "cpu": cpu_name(),
        "torch": torch.__version__, "python": platform.python_version(), "blas": "mkl" if torch.backends.mkl.is_available() else "other",
        "instruction_set": torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else "unknown",
        **(gpu_figures() if options.device == "cuda" else {}),
    }))


if __name__ == "__main__":
    main()
