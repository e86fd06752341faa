#!/usr/bin/env python3
"""Writes the reference tensors of DeBERTa that the parity tests read: tests/fixtures/deberta_*.

    python scripts/make_deberta_reference_tensors.py huggingface             with torch 2.15.0 and transformers 4.57.1
    python scripts/make_deberta_reference_tensors.py microsoft CHECKOUT      with torch 2.15.0; CHECKOUT is a clone of
        microsoft/DeBERTa at commit 4d7fe0b (2023-03-25); its imports need: numpy, tqdm, requests, regex, six, sentencepiece, ujson

The first makes DebertaForMaskedLM and DebertaV2ForMaskedLM (no enhanced mask decoder: transformers has none), the second the authors' own
MaskedLanguageModel with the decoder (deberta_v2_enhanced*). The files are those of make_reference_tensors.py, with three batches: of length
11 (no prefix), 6 ("equal.") and 4 ("short."), above, at and below the largest relative distance where that is 6. Weights are as far from
symmetric as there. grad.NAME is absent for parameters that the loss does not reach.
"""

import argparse
import importlib
import json
import pathlib
import shutil
import sys
import types

import torch
from safetensors.torch import save_file

from make_reference_tensors import make_batch, perturb, stored

SIZES = dict(vocab_size=37, hidden_size=12, num_attention_heads=2, num_hidden_layers=3, intermediate_size=20,
             max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-7,
             pad_token_id=0)
LENGTHS = {"": 11, "equal.": 6, "short.": 4}
BOTH = ["c2p", "p2c"]


def v1(terms, **options):
    return dict(dict(relative_attention=True, max_relative_positions=6, pos_att_type=terms, position_biased_input=False,
                     type_vocab_size=0), **options)


def v2(terms=BOTH, buckets=6, share=True, norm="layer_norm", **options):
    return dict(dict(relative_attention=True, max_relative_positions=10, pos_att_type=terms, position_biased_input=False,
                     type_vocab_size=0, position_buckets=buckets, share_att_key=share, norm_rel_ebd=norm), **options)


HUGGING_FACE = {
    "deberta_c2p_p2c": ("v1", v1(BOTH)),
    "deberta_c2p": ("v1", v1(["c2p"], position_biased_input=True, type_vocab_size=2)),
    "deberta_p2c": ("v1", v1(["p2c"])),
    "deberta_no_terms": ("v1", v1([])),
    "deberta_v2_shared_buckets_norm": ("v2", v2()),
    "deberta_v2_own_projections": ("v2", v2(buckets=-1, share=False, norm="none")),
    "deberta_v2_convolution": ("v2", v2(conv_kernel_size=3, conv_act="gelu")),
    "deberta_v2_everything": ("v2", v2(share=False, conv_kernel_size=5, conv_act="tanh", position_biased_input=True,
                                       type_vocab_size=2, embedding_size=8)),
    "deberta_v2_c2p_biased": ("v2", v2(["c2p"], buckets=-1, norm="none", position_biased_input=True)),
    "deberta_v2_p2c_types": ("v2", v2(["p2c"], share=False, type_vocab_size=2)),
}
MICROSOFT = {
    # Longer than any sequence here: past it the authors' code reads row 1 for keys far to the right, transformers and Locus row 0.
    "deberta_v2_enhanced": v2("p2c|c2p", max_relative_positions=12),
    "deberta_v2_enhanced_own_projections": v2("p2c|c2p", buckets=-1, share=False, norm="none"),
}


def batches(options):
    generator = torch.Generator().manual_seed(7)
    kinds = max(1, options["type_vocab_size"])
    return {prefix: make_batch(generator, True, length, SIZES["vocab_size"], kinds) for prefix, length in LENGTHS.items()}


def gradients(model):
    return {f"grad.{name}": parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def hugging_face_case(kind, options, folder):
    import transformers

    config_class, model_class = ((transformers.DebertaConfig, transformers.DebertaForMaskedLM) if kind == "v1" else
                                 (transformers.DebertaV2Config, transformers.DebertaV2ForMaskedLM))
    model = model_class(config_class(**SIZES, **options)).float().eval()
    perturb(model)
    model.tie_weights()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.double()
    tensors = {}
    for prefix, batch in batches(options).items():
        model.zero_grad(set_to_none=True)
        output = model(**batch, output_hidden_states=True)
        output.loss.backward()
        found = dict(batch, logits=output.logits, loss=output.loss.reshape(1), **gradients(model))
        found.update({f"hidden_states.{layer}": hidden for layer, hidden in enumerate(output.hidden_states)})
        tensors.update({prefix + name: tensor for name, tensor in found.items()})
    return tensors


def import_microsoft(checkout):
    """The module of the masked language model alone: the package's own __init__ imports every task."""
    sys.path.insert(0, str(checkout))
    for name in ("DeBERTa.apps", "DeBERTa.apps.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    return (importlib.import_module("DeBERTa.apps.models.masked_language_model"), importlib.import_module("DeBERTa.deberta"))


def locus_config(options):
    """What Locus writes for this model."""
    disentangled = {"encoding": "disentangled", "terms": "c2p|p2c", "max_distance": options["max_relative_positions"],
                    "buckets": max(0, options["position_buckets"]), "share_projections": options["share_att_key"],
                    "table_norm": options["norm_rel_ebd"] == "layer_norm"}
    return dict(SIZES, model_type="locus", type_vocab_size=0, hidden_act="gelu", tie_word_embeddings=True, locus={
        "architecture": "deberta-v2", "mask_decoder": "enhanced", "decoder_passes": 2,
        "position": [disentangled, {"encoding": "absolute", "site": "output"}]})


def microsoft_case(modules, options, folder):
    module, package = modules
    config = package.ModelConfig()
    for name, value in dict(SIZES, **options, hidden_act="gelu", initializer_range=0.02, padding_idx=0).items():
        setattr(config, name, value)
    model = module.MaskedLanguageModel(config).float().eval()
    perturb(model)
    folder.mkdir(parents=True)
    save_file({name: stored(tensor) for name, tensor in model.state_dict().items() if not name.endswith("position_ids")},
              folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(locus_config(options), indent=2) + "\n")
    model = model.double()
    tensors = {}
    for prefix, batch in batches(options).items():
        model.zero_grad(set_to_none=True)
        labels = torch.where(batch["labels"] < 0, 0, batch["labels"])  # 0 is "not asked" there
        output = model(batch["input_ids"], batch["attention_mask"], labels)
        encoded = model.deberta(batch["input_ids"], batch["attention_mask"], output_all_encoded_layers=True)
        loss = output["loss"].mean()
        loss.backward()
        found = dict(batch, masked_logits=output["logits"], loss=loss.reshape(1), **gradients(model))
        found.update({f"hidden_states.{layer + 1}": hidden for layer, hidden in enumerate(encoded["hidden_states"])})
        tensors.update({prefix + name: tensor for name, tensor in found.items()})
    return tensors


def write(folder, tensors, metadata):
    save_file({name: stored(tensor) for name, tensor in tensors.items()}, folder / "reference.safetensors", metadata)
    print(f"{folder}: losses {[round(tensors[prefix + 'loss'].item(), 6) for prefix in LENGTHS]}, "
          f"{sum(file.stat().st_size for file in folder.iterdir()) // 1024} KB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=["huggingface", "microsoft"])
    parser.add_argument("checkout", nargs="?", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, help="parent folder (default: tests/fixtures)")
    arguments = parser.parse_args()
    parent = arguments.output or pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    metadata = {"made_by": "scripts/make_deberta_reference_tensors.py", "torch": torch.__version__.split("+")[0], "computed_in": "float64"}
    if arguments.source == "microsoft":
        if arguments.checkout is None:
            sys.exit("microsoft needs the folder of a clone of microsoft/DeBERTa")
        modules = import_microsoft(arguments.checkout.resolve())
        cases = {case: (microsoft_case, (modules, options)) for case, options in MICROSOFT.items()}
    else:
        import transformers

        if transformers.__version__ != "4.57.1":
            sys.exit(f"huggingface is made with transformers 4.57.1; here is {transformers.__version__}")
        metadata["transformers"] = transformers.__version__
        cases = {case: (hugging_face_case, description) for case, description in HUGGING_FACE.items()}
    for case, (make, description) in cases.items():
        folder = parent / case
        if folder.exists():
            shutil.rmtree(folder)
        write(folder, make(*description, folder), dict(metadata, case=case))


if __name__ == "__main__":
    main()
