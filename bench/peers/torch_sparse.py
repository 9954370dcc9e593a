#!/usr/bin/env python3
"""Training of transcoders as SAELens does it, in plain PyTorch, for comparisons of speed with `sgatlin sparse train`.

The same computation and the same shape of run: a buffer of activations of one model (bench/peers/torch_lm.py) for every
layer at once, mixed and met in random order; dense encoder and decoder, relu with L1, top-k or jumprelu (a straight-through autograd
function); decoder rows of length 1 with their parallel gradient removed; fused Adam; which features fired last. Written
as one would who wants speed: one batch of all layers' activations a pass, no hooks, in-place work on the buffer.
Usage:
  torch_sparse.py --serve ...      answers a line on stdin with the seconds of one chunk (its activations and its steps)
Needs torch (pip install torch).
"""
import argparse
import sys
import time

import torch
import torch.nn.functional as F

from torch_lm import Config, Model


class Step(torch.autograd.Function):
    """a where it is above theta; thresholds by a rectangle."""

    @staticmethod
    def forward(ctx, a, theta, width):
        ctx.save_for_backward(a, theta)
        ctx.width = width
        return a * (a > theta)

    @staticmethod
    def backward(ctx, g):
        a, theta = ctx.saved_tensors
        inside = ((a - theta).abs() < ctx.width / 2).float()
        return g * (a > theta), (-(theta / ctx.width) * inside * g).sum(0), None


class Count(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, theta, width):
        ctx.save_for_backward(a, theta)
        ctx.width = width
        return (a > theta).float()

    @staticmethod
    def backward(ctx, g):
        a, theta = ctx.saved_tensors
        inside = ((a - theta).abs() < ctx.width / 2).float()
        return None, (-(1 / ctx.width) * inside * g).sum(0), None


class Sparse(torch.nn.Module):
    def __init__(self, a, D):
        super().__init__()
        self.kind, self.k, self.lam = a.kind, a.top_k, a.penalty
        self.W_enc = torch.nn.Parameter(torch.randn(D, a.features) / D**0.5)
        self.b_enc = torch.nn.Parameter(torch.zeros(a.features))
        self.W_dec = torch.nn.Parameter(torch.randn(a.features, D))
        self.b_dec = torch.nn.Parameter(torch.zeros(D))
        if self.kind == "jumprelu":
            self.log_theta = torch.nn.Parameter(torch.full((a.features,), 0.1).log())
        self.fired = torch.zeros(a.features)

    def loss(self, x, target):
        a = torch.addmm(self.b_enc, x, self.W_enc)
        penalty = 0.0
        if self.kind == "relu":
            h = F.relu(a)
            penalty = self.lam * h.sum(1).mean()
        elif self.kind == "topk":
            value, index = a.topk(self.k, dim=1)
            h = torch.zeros_like(a).scatter(1, index, F.relu(value))
        else:
            theta = self.log_theta.exp()
            h = Step.apply(a, theta, 0.1)
            penalty = self.lam * Count.apply(a, theta, 0.1).sum(1).mean()
        y = torch.addmm(self.b_dec, h, self.W_dec)
        self.acting = h.detach()
        return (y - target).pow(2).mean() + penalty

    @torch.no_grad()
    def normalise(self):
        self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def remove_parallel(self):
        g = self.W_dec.grad
        g -= (g * self.W_dec).sum(1, keepdim=True) * self.W_dec


class Run:
    def __init__(self, a):
        torch.manual_seed(0)
        self.a, self.c = a, Config.preset("mlp", V=a.vocab, D=a.width, L=a.layers, F=4 * a.width)
        self.model = Model(self.c).eval()
        self.rotary = self.model.rotary(a.seq)
        self.sparse = [Sparse(a, a.width) for _ in range(a.layers)]
        self.optimizer = [torch.optim.Adam(s.parameters(), lr=1e-3, fused=True) for s in self.sparse]
        n = a.batch * a.buffer
        self.x = torch.empty(a.layers, n, a.width)
        self.y = torch.empty(a.layers, n, a.width)
        self.clock = time.process_time if a.cpu_time else time.perf_counter
        self.steps = 0

    @torch.no_grad()
    def fill(self, only=None):
        """Activations of every layer, or of one alone, for which the model runs no further."""
        a, n = self.a, self.a.batch * self.a.buffer
        rows = max(1, 2048 // a.seq)
        for at in range(0, n, rows * a.seq):
            ids = torch.randint(2, a.vocab, (rows, a.seq))
            s = self.model.embed_tokens(ids)
            for l, layer in enumerate(self.model.layers):
                s = s + layer.self_attn(layer.input_layernorm(s), *self.rotary)
                x = layer.post_attention_layernorm(s).view(-1, a.width)
                y = layer.mlp(x)
                take = min(n - at, x.shape[0])
                if only in (None, l):
                    self.x[l, at:at + take] = x[:take]
                    self.y[l, at:at + take] = y[:take]
                if only == l:
                    break
                s = s + y.view_as(s)

    def chunk(self):
        a = self.a
        for only in range(a.layers) if a.apart else [None]:
            self.fill(only)
        order = torch.randperm(a.batch * a.buffer)
        for b in range(a.buffer):
            rows = order[b * a.batch:(b + 1) * a.batch]
            for l, (s, o) in enumerate(zip(self.sparse, self.optimizer)):
                s.normalise()
                o.zero_grad(set_to_none=True)
                s.loss(self.x[l, rows], self.y[l, rows]).backward()
                s.remove_parallel()
                o.step()
                s.fired += 1
                s.fired[(s.acting > 0).any(0)] = 0
            self.steps += 1
        self.act = sum(float((s.acting > 0).float().sum(1).mean()) for s in self.sparse) / a.layers


def main(kind_of_run):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kind", default="relu", choices=["relu", "topk", "jumprelu"])
    p.add_argument("--penalty", type=float, default=0.01)
    p.add_argument("--top-k", type=int, default=32)
    p.add_argument("--features", type=int, default=2048)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--vocab", type=int, default=8192)
    p.add_argument("--seq", type=int, default=256)
    p.add_argument("--batch", type=int, default=4096)
    p.add_argument("--buffer", type=int, default=4)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--cpu-time", action="store_true")
    p.add_argument("--apart", action="store_true", help="a pass of the model for each layer, as SAELens, which trains one at a time")
    p.add_argument("--serve", action="store_true")
    a = p.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    run = kind_of_run(a)
    for line in sys.stdin if a.serve else ["one\n"]:
        begin = run.clock()
        run.chunk()
        print(f"{run.clock() - begin} {run.act}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Run))
