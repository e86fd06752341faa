"""Masked language models of public libraries as they are, made from a configuration (nothing is downloaded), for peer_pytorch.py to train.

    transformers   BertForMaskedLM with scaled_dot_product_attention; DebertaV2ForMaskedLM
    flashdeberta   DebertaV2ForMaskedLM with its fused attention in Triton, on a GPU only. Its kernels have no dropout, so that it draws none for the
                   attention's weights where the others do. Its own FlashDebertaV2ForMaskedLM is the same model, but 0.0.8 cannot be made with transformers 5

DeBERTa is version 3's: content to position and position to content, span 512, 256 buckets, the content's matrices for positions, too. The head of all
these models gives logits of every row, and their loss ignores the rows that are not masked.
"""

import importlib
import importlib.metadata

LIBRARIES = ("transformers", "flashdeberta")
SPAN, BUCKETS = 512, 256


def bert_config(size, length, dropout):
    from transformers import BertConfig
    return BertConfig(**shape(size, dropout), max_position_embeddings=length)


def deberta_config(size, dropout):
    from transformers import DebertaV2Config
    return DebertaV2Config(**shape(size, dropout), max_position_embeddings=SPAN, type_vocab_size=0, relative_attention=True,
                           pos_att_type=["c2p", "p2c"], position_buckets=BUCKETS, share_att_key=True, norm_rel_ebd="layer_norm",
                           position_biased_input=False)


def shape(size, dropout):
    return dict(num_hidden_layers=size["layers"], hidden_size=size["hidden"], num_attention_heads=size["heads"],
                intermediate_size=size["feed_forward"], vocab_size=size["vocabulary"], hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout)


def make_library_model(library, size, length, position, dropout):
    import transformers
    if position == "disentangled":
        model = transformers.DebertaV2ForMaskedLM(deberta_config(size, dropout))
        if library == "flashdeberta":
            attention = importlib.import_module("flashdeberta").FlashDisentangledSelfAttention
            for layer in model.deberta.encoder.layer:
                layer.attention.self = attention(model.config)
        return model
    model = transformers.AutoModelForMaskedLM.from_config(bert_config(size, length, dropout), attn_implementation="sdpa")
    # No row is padded. Some versions (5.17) make a mask all the same when they are compiled, and then attention cannot be the fast one.
    model.bert._create_attention_masks = lambda *_, **__: (None, None)
    return model


def build_model(library, size, length, position, dropout):
    """model(ids, masked rows, targets) is the loss. Raises ImportError where the library is missing."""
    import torch
    from torch import nn

    class Peer(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = make_library_model(library, size, length, position, dropout)

        def forward(self, ids, masked_rows, targets):
            labels = torch.full((ids.numel(),), -100, device=ids.device).index_copy(0, masked_rows, targets)
            return self.model(input_ids=ids, labels=labels.view_as(ids)).loss

    return Peer()


def version(library):
    return importlib.metadata.version(library)
