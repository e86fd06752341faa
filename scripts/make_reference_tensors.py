#!/usr/bin/env python3
"""Writes the reference tensors that the parity tests read: tests/fixtures/bert_absolute, bert_relative_key, bert_relative_key_query and bert_t5_bias.

    python scripts/make_reference_tensors.py bert_absolute        with torch 2.15.0 and transformers 5.23.0
    python scripts/make_reference_tensors.py bert_relative_key    with torch 2.15.0 and transformers 4.57.1; and so for ..._query and bert_t5_bias

The two need different versions because transformers 5 no longer has relative positions in BERT. bert_t5_bias is BERT's encoder without a position table, given
the bias that T5's own attention computes. Each folder gets

    config.json, model.safetensors    a BertForMaskedLM saved by save_pretrained; float32; every bias and norm away from 0 and 1
    reference.safetensors             what that model computes, in float64, rounded to float32 only when stored:
        input_ids, attention_mask, token_type_ids, labels      int64 [B, S]; labels -100 where nothing is asked
        hidden_states.{0..layers}     [B, S, H]; 0 = embeddings. Rows of padding hold what transformers computes there: skip them
        logits [B, S, V], loss [1]    mean cross-entropy over the labels that are not -100
        grad.<parameter>              the gradient of loss; parameters that the loss does not reach are absent
        steps.input_ids, ...          int64 [20, B, S]: one batch per optimizer step
        adamw_losses, adamw_gradient_norms    [20]: loss of each step before its update, gradient norm before clipping

The optimizer of the last two: torch.optim.AdamW, constant learning rate 1e-3, betas (0.9, 0.98), eps 1e-6, weight decay 0.01 except on
biases and LayerNorm, gradients clipped to norm 1, dropout 0. Sizes are odd on purpose, so that a kernel's tails are used.
"""

import argparse
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, T5Config
from transformers.modeling_outputs import MaskedLMOutput
from transformers.models.t5.modeling_t5 import T5Attention

TORCH_VERSION = "2.15.0"
CASES = {  # name -> (position_embedding_type, version of transformers)
    "bert_absolute": ("absolute", "5.23.0"),
    "bert_relative_key": ("relative_key", "4.57.1"),
    "bert_relative_key_query": ("relative_key_query", "4.57.1"),
    "bert_t5_bias": ("t5_bias", "4.57.1"),
}
SIZES = dict(vocab_size=101, hidden_size=24, num_attention_heads=3, num_hidden_layers=3, intermediate_size=40,
             max_position_embeddings=20, type_vocab_size=2)
BATCH, LENGTH, STEPS = 3, 11, 20
FIRST_ORDINARY_ID, MASK_ID = 5, 4
T5_BUCKETS = dict(relative_attention_num_buckets=8, relative_attention_max_distance=9)
ADAMW = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
WEIGHT_DECAY, CLIP = 0.01, 1.0


def perturb(model):
    """Weights large enough that attention is far from uniform, every bias and norm away from 0 and 1."""
    generator = torch.Generator().manual_seed(20)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(0.25 * noise)


class BertWithT5Bias(torch.nn.Module):
    """BertForMaskedLM without positions at the input; its scores get the bias of T5's bidirectional attention, shared by all layers."""

    def __init__(self, config):
        super().__init__()
        whole = BertForMaskedLM(config)
        self.bert, self.cls, self.config = whole.bert, whole.cls, config
        self.bert.embeddings.position_embeddings = None
        t5 = T5Config(d_model=config.hidden_size, num_heads=config.num_attention_heads, is_decoder=False, **T5_BUCKETS)
        # compute_bias() is all that is used of it; its weight stands where a table shared by the layers belongs.
        object.__setattr__(self, "t5", T5Attention(t5, has_relative_attention_bias=True))
        self.bert.encoder.relative_attention_bias = self.t5.relative_attention_bias

    def tie_weights(self):
        self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.cls.predictions.decoder.bias = self.cls.predictions.bias

    def forward(self, input_ids, attention_mask, token_type_ids, labels, output_hidden_states=False):
        part = self.bert.embeddings
        embedded = part.LayerNorm(part.word_embeddings(input_ids) + part.token_type_embeddings(token_type_ids))
        length = input_ids.shape[1]
        bias = self.t5.compute_bias(length, length)  # [1, heads, query, key]
        hidden_padding = torch.where(attention_mask == 1, 0.0, -1e9).to(embedded.dtype)[:, None, None, :]
        output = self.bert.encoder(embedded, attention_mask=bias + hidden_padding, output_hidden_states=True)
        logits = self.cls(output.last_hidden_state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=output.hidden_states if output_hidden_states else None)

    def save_pretrained(self, folder):
        folder.mkdir(parents=True)
        keys = [*SIZES, "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps",
                "pad_token_id", "tie_word_embeddings"]
        config = {key: getattr(self.config, key) for key in keys}
        position = {"encoding": "t5_bias", "buckets": T5_BUCKETS["relative_attention_num_buckets"],
                    "max_distance": T5_BUCKETS["relative_attention_max_distance"]}
        config |= {"model_type": "locus", "locus": {"architecture": "bert", "position": [position], "mask_decoder": "plain"}}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        tensors = {name: stored(tensor) for name, tensor in self.state_dict().items()
                   if not name.endswith(("position_ids", "token_type_ids")) and ".decoder." not in name}
        save_file(tensors, folder / "model.safetensors")


def make_model(position_type):
    options = {} if position_type in ("absolute", "t5_bias") else {"position_embedding_type": position_type}
    config = BertConfig(**SIZES, **options, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0,
                        attn_implementation="eager")
    model = (BertWithT5Bias if position_type == "t5_bias" else BertForMaskedLM)(config).float().eval()
    perturb(model)
    model.tie_weights()
    return model


def make_batch(generator, left_padding, length=LENGTH, vocabulary=SIZES["vocab_size"], types=SIZES["type_vocab_size"]):
    """Row 0 is full, row 1 is padded on the right, row 2 (if asked) on the left; about a third of the rest is masked."""
    def draw(low, high, *shape):
        return torch.randint(low, high, shape, generator=generator)

    original = draw(FIRST_ORDINARY_ID, vocabulary, BATCH, length)
    attention = torch.ones(BATCH, length, dtype=torch.int64)
    attention[1, length - int(draw(1, length // 2, 1)):] = 0
    if left_padding:
        attention[2, :length // 3] = 0
    chosen = (torch.rand(BATCH, length, generator=generator) < 0.3) & (attention == 1)
    chosen[:, length // 2] = True  # at least one per row
    ids = torch.where(chosen & (torch.rand(BATCH, length, generator=generator) < 0.8), MASK_ID, original)
    return {"input_ids": torch.where(attention == 1, ids, 0), "attention_mask": attention,
            "token_type_ids": draw(0, types, BATCH, length),
            "labels": torch.where(chosen, original, -100)}


def forward_and_gradients(model, batch):
    model.zero_grad()
    output = model(**batch, output_hidden_states=True)
    output.loss.backward()
    tensors = dict(batch, logits=output.logits, loss=output.loss.reshape(1))
    for layer, hidden in enumerate(output.hidden_states):
        tensors[f"hidden_states.{layer}"] = hidden
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[f"grad.{name}"] = parameter.grad.clone()
    return tensors


def adamw_steps(model, batches):
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        (plain if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
                                  **ADAMW)
    losses, norms = [], []
    for batch in batches:
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        losses.append(loss.item())
        optimizer.step()
    tensors = {f"steps.{name}": torch.stack([batch[name] for batch in batches]) for name in batches[0]}
    tensors["adamw_losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["adamw_gradient_norms"] = torch.tensor(norms, dtype=torch.float64)
    return tensors


def stored(tensor):
    """What goes into the file: integers as they are, the rest rounded to float32; no two tensors share memory."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).clone().contiguous()


def make_case(case, folder, metadata):
    position_type, _ = CASES[case]
    model = make_model(position_type)
    if folder.exists():
        shutil.rmtree(folder)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)

    model = model.double()  # exactly the float32 weights just written
    generator = torch.Generator().manual_seed(7)
    tensors = forward_and_gradients(model, make_batch(generator, left_padding=True))
    batches = [make_batch(generator, left_padding=step % 4 == 3) for step in range(STEPS)]
    tensors.update(adamw_steps(model, batches))
    save_file({name: stored(tensor) for name, tensor in tensors.items()}, folder / "reference.safetensors", metadata)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--output", type=pathlib.Path, help="folder (default: tests/fixtures/CASE)")
    parser.add_argument("--any-version", action="store_true", help="go on with other versions than the pinned ones")
    arguments = parser.parse_args()

    found = (torch.__version__.split("+")[0], transformers.__version__)
    pinned = (TORCH_VERSION, CASES[arguments.case][1])
    if found != pinned and not arguments.any_version:
        sys.exit(f"{arguments.case} is made with torch {pinned[0]} and transformers {pinned[1]}; "
                 f"here are torch {found[0]} and transformers {found[1]} (--any-version goes on)")
    folder = arguments.output or pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / arguments.case
    torch.manual_seed(0)
    torch.set_num_threads(1)  # one order of summation
    metadata = {"made_by": "scripts/make_reference_tensors.py", "torch": found[0], "transformers": found[1],
                "computed_in": "float64", "case": arguments.case}
    tensors = make_case(arguments.case, folder, metadata)
    losses = tensors["adamw_losses"]
    print(f"{folder}: loss {tensors['loss'].item():.6f}, after {STEPS} steps {losses[0]:.4f} -> {losses[-1]:.4f}, "
          f"{sum(file.stat().st_size for file in folder.iterdir()) // 1024} KB")


if __name__ == "__main__":
    main()
