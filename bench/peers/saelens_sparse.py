#!/usr/bin/env python3
"""SAELens's own trainer, for comparisons of speed with `sgatlin sparse train`.

Trainers (`SAETrainer`) and sparse autoencoders are the package's, fed with the activations of a plain PyTorch model (bench/peers/torch_lm.py), which are
computed as cheaply as PyTorch can: one pass for all layers, no hooks, no store (bench/peers/torch_sparse.py); --apart: a pass for each
layer, as who trains one at a time has it. SAELens trains autoencoders of one site, here `mlp.out`, and no transcoders: one tensor fewer to mix
and to read. Its defaults otherwise: Adam, clipped gradients, counts of what fired.
Usage:
  saelens_sparse.py --serve ...      as torch_sparse.py: answers a line on stdin with the seconds of one chunk
Needs sae-lens (pip install sae-lens).
"""
import sys

import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

import torch_sparse


def one(a):
    usual = {"d_in": a.width, "d_sae": a.features, "metadata": SAEMetadata()}
    if a.kind == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=a.top_k, **usual))
    # --penalty is of a squared error that is a mean over the width; SAELens sums over it.
    return StandardTrainingSAE(StandardTrainingSAEConfig(l1_coefficient=a.penalty * a.width, **usual))


class Run(torch_sparse.Run):
    def __init__(self, a):
        if a.kind == "jumprelu":
            sys.exit("saelens_sparse.py: relu or topk")
        super().__init__(a)
        cfg = SAETrainerConfig(total_training_samples=10**9, train_batch_size_samples=a.batch, lr=1e-3, lr_end=1e-4)
        self.trainers = [SAETrainer(cfg, one(a), iter(())) for _ in range(a.layers)]

    def chunk(self):
        a = self.a
        for only in range(a.layers) if a.apart else [None]:
            self.fill(only)
        order = torch.randperm(a.batch * a.buffer)
        self.act = 0.0
        for b in range(a.buffer):
            rows = order[b * a.batch:(b + 1) * a.batch]
            for l, t in enumerate(self.trainers):
                t.maybe_reset_sparsity()
                out = t.step(self.y[l, rows])
                t.n_training_steps += 1
                if b == a.buffer - 1:
                    self.act += float(out.feature_acts.bool().float().sum(-1).to_dense().mean()) / a.layers


if __name__ == "__main__":
    sys.exit(torch_sparse.main(Run))
