#!/usr/bin/env python3
"""The same language model in PyTorch, for comparisons of speed: all six feedforward kinds, float32, on the CPU.

Written as one would who knows PyTorch and wants speed: fused scaled_dot_product_attention, q, k and v as one
product, fused AdamW, rms_norm, cross_entropy on whole logits. The sparse kinds have three forms (--sparse):
  bag     embedding lookup + batched product for the input side, embedding_bag with weights for the output side
  gather  lookup + einsum on both sides
  dense   every neuron computed as one product, the chosen ones kept by gather and scatter
Usage:
  torch_lm.py --check DIR...           loss of golden models (model.safetensors, expected.safetensors) against theirs
  torch_lm.py --kind mlp --time 7      medians of training steps and forward passes
  torch_lm.py --kind mlp --serve       answers "train", "forward" on stdin with seconds, one number a line
Needs torch and safetensors (pip install torch safetensors).
"""
import argparse
import json
import math
import os
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

PRESET = dict(V=8192, D=256, d_head=64, L=4, F=1024, C=8, K=8, Q=128)


class Config:
    def __init__(self, **fields):
        self.__dict__.update(fields)

    @staticmethod
    def preset(kind, **changes):
        c = Config(kind=kind, eps=1e-6, theta=1e4, pad=0, bos=1, router="", activation="identity", **PRESET)
        c.router = {"sgatlin": "product_dense", "peer": "product_key_value"}.get(kind, "")
        if kind == "moe":
            c.K = 2
        if kind == "monet":
            c.activation, c.form, c.N, c.m, c.group = "relu2", "horizontal", 32, 8, 4
        c.__dict__.update(changes)
        c.H = c.D // c.d_head
        return c

    @staticmethod
    def load(directory):
        with open(directory + "/config.json") as f:
            j = json.load(f)
        f = j["feedforward"]
        return Config(kind=f["kind"], router=f.get("router", ""), activation=f.get("activation", ""), V=j["vocab_size"],
                      D=j["hidden_size"], d_head=j["head_dim"], H=j["num_attention_heads"], L=j["num_hidden_layers"],
                      F=f.get("num_neurons", 0), form=f.get("decomposition", ""), N=f.get("num_experts", 0),
                      m=f.get("expert_dim", 0), group=f.get("router_group", 1), C=f.get("num_channels", 0), K=f.get("top_k", 0), Q=f.get("key_dim", 0),
                      eps=j["rms_norm_eps"], theta=j["rope_theta"], pad=j["pad_token_id"], bos=j["bos_token_id"])


def parameter(*shape, std):
    p = torch.empty(*shape)
    nn.init.trunc_normal_(p, std=std, a=-2 * std, b=2 * std)
    return nn.Parameter(p)


class Router(nn.Module):
    """The K largest scores per row and channel, (n, C, K), and their neurons."""

    def __init__(self, c):
        super().__init__()
        self.c, self.product, self.keyed = c, c.router.startswith("product"), c.router.endswith("key_value")
        self.S = math.isqrt(c.F)
        parts = (2,) if self.product else ()
        units = self.S if self.product else c.F
        if self.keyed:
            self.query = nn.Module()
            self.query.weight = parameter(*parts, c.C, c.Q, c.D, std=c.D**-0.5)
            self.keys = parameter(*parts, c.C, units, c.Q, std=1)
            self.scale = (len(parts) + 1 if self.product else 1) * c.Q
            self.scale **= -0.5
        else:
            self.down, self.up = nn.Module(), nn.Module()
            self.down.weight = parameter(c.Q, c.D, std=c.D**-0.5)
            self.up.weight = parameter(*parts, c.C, units, c.Q, std=c.Q**-0.5)
        self.parts, self.units = (2 if self.product else 1), units

    def forward(self, x):
        c, n = self.c, x.shape[0]
        if self.keyed:
            low = F.linear(x, self.query.weight.reshape(-1, c.D)).view(n, self.parts * c.C, c.Q)
            keys = self.keys.reshape(self.parts * c.C, self.units, c.Q)
            u = torch.bmm(low.transpose(0, 1), keys.transpose(1, 2)).transpose(0, 1) * self.scale
        else:
            u = F.linear(F.linear(x, self.down.weight), self.up.weight.reshape(-1, c.Q))
        u = u.reshape(n, self.parts, c.C, self.units)
        if not self.product:
            return u[:, 0].topk(c.K, dim=-1)
        s, i = u.topk(c.K, dim=-1)
        pairs = (s[:, 0, :, :, None] + s[:, 1, :, None, :]).flatten(-2)
        score, at = pairs.topk(c.K, dim=-1)
        a = i[:, 0].gather(-1, at // c.K)
        b = i[:, 1].gather(-1, at % c.K)
        return score, a * self.S + b


class Sparse(nn.Module):
    """sgatlin (a pool per channel) and peer (one pool)."""

    form = "bag"

    def __init__(self, c):
        super().__init__()
        self.c, self.router = c, Router(c)
        shape = (c.C, c.F, c.D) if c.kind == "sgatlin" else (c.F, c.D)
        self.experts = nn.Module()
        self.experts.w_in = parameter(*shape, std=c.F**-0.5)
        self.experts.w_out = parameter(*shape, std=c.F**-0.5)
        if c.kind == "sgatlin":
            self.register_buffer("base", (torch.arange(c.C) * c.F).view(1, c.C, 1), persistent=False)

    def gate(self, h, score):
        if self.c.kind == "peer":
            return F.gelu(h, approximate="tanh") * score.softmax(-1)
        z = h * score
        if self.c.activation == "gelu":
            return F.gelu(z, approximate="tanh")
        return {"identity": lambda v: v, "relu": F.relu, "swish": F.silu}[self.c.activation](z)

    def forward(self, x):
        c, n = self.c, x.shape[0]
        score, index = self.router(x)
        if c.kind == "sgatlin":
            index = index + self.base
        index = index.reshape(n, c.C * c.K)
        w_in, w_out = self.experts.w_in.reshape(-1, c.D), self.experts.w_out.reshape(-1, c.D)
        if Sparse.form == "dense":
            h = F.linear(x, w_in).gather(1, index)
        elif Sparse.form == "gather":
            h = torch.einsum("nkd,nd->nk", F.embedding(index, w_in), x)
        else:
            h = torch.bmm(F.embedding(index, w_in), x.unsqueeze(2)).squeeze(2)
        v = self.gate(h.view(n, c.C, c.K), score).reshape(n, c.C * c.K)
        if Sparse.form == "dense":
            return torch.zeros(n, w_out.shape[0]).scatter_add(1, index, v) @ w_out
        if Sparse.form == "gather":
            return torch.einsum("nkd,nk->nd", F.embedding(index, w_out), v)
        return F.embedding_bag(index, w_out, per_sample_weights=v, mode="sum")


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.up_proj = nn.Linear(c.D, c.F, bias=False)
        self.down_proj = nn.Linear(c.F, c.D, bias=False)

    def forward(self, x):
        return self.down_proj(F.gelu(self.up_proj(x), approximate="tanh"))


def glu(u):
    g, l = u.chunk(2, dim=-1)
    g, l = g.clamp(max=7), l.clamp(-7, 7)
    return g * torch.sigmoid(1.702 * g) * (l + 1)


class Glu(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_up_proj = nn.Linear(c.D, 2 * c.F)
        self.down_proj = nn.Linear(c.F, c.D)

    def forward(self, x):
        return self.down_proj(glu(self.gate_up_proj(x)))


class Moe(nn.Module):
    """Rows grouped by expert: a sort, one pair of products an expert, an index_add back."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.gate = nn.Linear(c.D, c.C, bias=False)
        self.experts = nn.Module()
        self.experts.gate_up_proj, self.experts.down_proj = nn.Module(), nn.Module()
        self.experts.gate_up_proj.weight = parameter(c.C, 2 * c.F, c.D, std=c.D**-0.5)
        self.experts.gate_up_proj.bias = nn.Parameter(torch.zeros(c.C, 2 * c.F))
        self.experts.down_proj.weight = parameter(c.C, c.D, c.F, std=c.F**-0.5)
        self.experts.down_proj.bias = nn.Parameter(torch.zeros(c.C, c.D))

    def forward(self, x):
        c, e = self.c, self.experts
        logits = self.gate(x)
        p = logits.softmax(-1)
        chosen = logits.topk(c.K, dim=-1).indices
        order = chosen.flatten().argsort(stable=True)
        token = order // c.K
        weight = p.gather(1, chosen).flatten()[order]
        rows = x[token]
        parts = []
        for i, part in enumerate(rows.split(chosen.flatten().bincount(minlength=c.C).tolist())):
            h = glu(F.linear(part, e.gate_up_proj.weight[i], e.gate_up_proj.bias[i]))
            parts.append(F.linear(h, e.down_proj.weight[i], e.down_proj.bias[i]))
        return torch.zeros_like(x).index_add(0, token, torch.cat(parts) * weight.unsqueeze(1))


class MonetRouter(nn.Module):
    """The gates of both axes, (n, H, N), from batch statistics in training; what they add to the loss."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.w1, self.w2 = nn.Linear(c.D, c.C * c.N, bias=False), nn.Linear(c.D, c.C * c.N, bias=False)
        for k in (1, 2):
            self.register_buffer(f"running_mean{k}", torch.zeros(c.C))
            self.register_buffer(f"running_var{k}", torch.ones(c.C))
        share = 1 - c.K / c.N
        self.quantile = statistics.NormalDist().inv_cdf(share) if share > 0 else -math.inf

    def axis(self, z, mean, var):
        with torch.no_grad():
            if self.training:
                v, m = torch.var_mean(z, dim=(0, 2), correction=0)
                count = z.shape[0] * z.shape[2]
                mean.lerp_(m, 0.1)
                var.lerp_(v * (count / (count - 1)), 0.1)
            else:
                v, m = var, mean
            normed = (z - m[:, None]) * torch.rsqrt(v + 1e-5)[:, None]
            out = normed < normed.amax(-1, keepdim=True).clamp(max=self.quantile)
        return z.masked_fill(out, -math.inf).softmax(-1)

    def forward(self, x):
        c = self.c
        z = F.linear(x, torch.cat((self.w1.weight, self.w2.weight))).view(-1, 2, c.C, c.N)
        g = [self.axis(z[:, k], *(getattr(self, f"running_{s}{k + 1}") for s in ("mean", "var"))) for k in (0, 1)]
        if self.training:
            used = torch.stack([a.mean(0) for a in g])
            most = torch.stack([a.amax(-1) for a in g])
            self.added = torch.stack((-used.clamp(min=1e-6).log().mean(), 1 - most.mean()))
        return g


class Monet(nn.Module):
    """Composed experts: none is put together; between the maps a row's small products are batched ones."""

    def __init__(self, c, layer):
        super().__init__()
        self.c, self.first = c, layer % c.group == 0
        if self.first:
            self.router = MonetRouter(c)
        W = c.N * c.m // (1 if c.form == "horizontal" else 2)
        self.moe = nn.Module()
        if c.form == "horizontal":
            self.moe.u, self.moe.v = nn.Linear(c.D, W), nn.Linear(W, c.D, bias=False)
            self.moe.b = nn.Parameter(torch.zeros(c.N, c.D))
            return
        self.moe.u1, self.moe.u2 = nn.Linear(c.D, W), nn.Linear(c.D, W)
        for name in ("v11", "v12", "v21", "v22"):
            setattr(self.moe, name, nn.Linear(W, c.D // 2, bias=False))
        self.moe.b1, self.moe.b2 = (nn.Parameter(torch.zeros(c.N, c.D // 2)) for _ in range(2))

    def forward(self, x, gates):
        c, e, n = self.c, self.moe, x.shape[0]
        g1, g2 = gates
        if c.form == "horizontal":
            hidden = e.u(x).relu().square().view(n, c.N, c.m)
            mixed = torch.bmm(g2.transpose(1, 2), torch.bmm(g1, hidden))
            return torch.addmm(e.v(mixed.view(n, -1)), g2.sum(1), e.b)
        p, q = (u(x).relu().square().view(n, c.N, c.m // 2) for u in (e.u1, e.u2))
        s1, s2 = g1.sum(1), g2.sum(1)
        cq = torch.bmm(g1.transpose(1, 2), torch.bmm(g2, q)).view(n, -1)
        cp = torch.bmm(g2.transpose(1, 2), torch.bmm(g1, p)).view(n, -1)
        own1, own2 = (s1[:, :, None] * p).view(n, -1), (s2[:, :, None] * q).view(n, -1)
        return torch.cat((e.v11(own1) + e.v12(cq) + s1 @ e.b1, e.v21(cp) + e.v22(own2) + s2 @ e.b2), 1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        W = c.H * c.d_head
        self.qkv = nn.Linear(c.D, 3 * W, bias=False)
        self.o_proj = nn.Linear(W, c.D, bias=False)
        self.q_norm = nn.RMSNorm(c.d_head, eps=c.eps)
        self.k_norm = nn.RMSNorm(c.d_head, eps=c.eps)

    def forward(self, x, cos, sin):
        c = self.c
        B, T, _ = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, c.H, c.d_head).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        q, k = (t * cos + torch.cat((-t[..., c.d_head // 2:], t[..., :c.d_head // 2]), -1) * sin for t in (q, k))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(o.transpose(1, 2).reshape(B, T, -1))


KINDS = {"sgatlin": Sparse, "peer": Sparse, "mlp": Mlp, "glu": Glu, "moe": Moe, "monet": Monet}


class Layer(nn.Module):
    def __init__(self, c, layer):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.D, eps=c.eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.D, eps=c.eps)
        self.mlp = KINDS[c.kind](c, layer) if c.kind == "monet" else KINDS[c.kind](c)

    def forward(self, x, cos, sin, gates):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        normed = self.post_attention_layernorm(x).view(-1, x.shape[-1])
        if not isinstance(self.mlp, Monet):
            return x + self.mlp(normed).view_as(x), None
        if self.mlp.first:
            gates = self.mlp.router(normed)
        return x + self.mlp(normed, gates).view_as(x), gates


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.V, c.D)
        nn.init.normal_(self.embed_tokens.weight, std=c.D**-0.5)
        self.layers = nn.ModuleList(Layer(c, l) for l in range(c.L))
        self.norm = nn.RMSNorm(c.D, eps=c.eps)

    def rotary(self, T):
        c = self.c
        frequency = 1.0 / c.theta ** (torch.arange(0, c.d_head, 2, dtype=torch.float64) / c.d_head)
        angle = torch.arange(T, dtype=torch.float32)[:, None] * frequency.float()[None]
        angle = torch.cat((angle, angle), -1)
        return angle.cos(), angle.sin()

    def forward(self, inputs, targets, cos, sin):
        x, gates = self.embed_tokens(inputs), None
        for layer in self.layers:
            x, gates = layer(x, cos, sin, gates)
        logits = F.linear(self.norm(x), self.embed_tokens.weight)
        loss = F.cross_entropy(logits.view(-1, self.c.V), targets.view(-1), ignore_index=self.c.pad)
        if self.c.kind != "monet" or not self.training:
            return loss
        routers = [layer.mlp.router for layer in self.layers if layer.mlp.first]
        return loss + sum(w * a for w, a in zip(self.added, sum(r.added for r in routers) / len(routers)))

    added = (0.001, 0.001)  # weights of uniformity and ambiguity

    def load(self, path):
        from safetensors.torch import load_file
        state = {k.removeprefix("model."): v for k, v in load_file(path).items()}
        for l in range(self.c.L):
            at = f"layers.{l}.self_attn."
            state[at + "qkv.weight"] = torch.cat([state.pop(f"{at}{n}_proj.weight") for n in "qkv"])
        self.load_state_dict(state)


def check(directories):
    """Loss and gradients of golden models: the peer computes what the project computes."""
    from safetensors.torch import load_file
    worst = 0.0
    for d in directories:
        c = Config.load(d)
        m = Model(c)
        m.load(d + "/model.safetensors")
        if os.path.exists(d + "/case.json"):
            with open(d + "/case.json") as f:
                train = json.load(f)["train"]
            m.added = (train["uniformity"], train["ambiguity"])
        want = load_file(d + "/expected.safetensors")
        loss = m(want["inputs"].long(), want["targets"].long(), *m.rotary(want["inputs"].shape[1]))
        loss.backward()
        g, e = m.embed_tokens.weight.grad, want["grad.model.embed_tokens.weight"]
        total = want["total"] if "total" in want else want["loss"]
        off, goff = abs(loss.item() - total.item()), ((g - e).abs().max() / e.abs().max()).item()
        worst = max(worst, off / 5e-6, goff / 3e-5)
        print(f"{d}: loss {loss.item():.6f} expected {total.item():.6f} (off {off:.1e}); "
              f"embedding gradient off by {goff:.1e} of its largest")
    return 0 if worst <= 1 else 1


class Run:
    def __init__(self, a):
        self.c = Config.preset(a.kind, **{k: v for k, v in (s.split("=") for s in a.set) for v in [int(v)]})
        torch.manual_seed(0)
        self.model = Model(self.c)
        self.rotary = self.model.rotary(a.seq)
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0}],
                                           lr=1e-3, fused=True)
        self.call = torch.compile(self.model) if a.compile else self.model
        ids = torch.randint(2, self.c.V, (a.batch, a.seq + 1))
        self.inputs, self.targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
        self.tokens = a.batch * a.seq
        # As PyTorch trains in bf16: products and attention in bf16, weights, moments, norms and loss in float32.
        self.precision = torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.bf16)
        self.clock = time.process_time if a.cpu_time else time.perf_counter

    def train(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            loss = self.call(self.inputs, self.targets, *self.rotary)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def forward(self):
        self.model.eval()
        with self.precision:
            loss = self.call(self.inputs, self.targets, *self.rotary).item()
        self.model.train()
        return loss

    def timed(self, what):
        begin = self.clock()
        getattr(self, what)()
        return self.clock() - begin


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", nargs="+", metavar="DIR")
    p.add_argument("--kind", default="mlp", choices=list(KINDS))
    p.add_argument("--kinds", action="store_true", help="print the kinds and stop")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--seq", type=int, default=1024)
    p.add_argument("--set", action="append", default=[], metavar="NAME=N", help="V, D, L, F, C, K or Q of the model")
    p.add_argument("--sparse", default="bag", choices=["bag", "gather", "dense"])
    p.add_argument("--compile", action="store_true")
    p.add_argument("--bf16", action="store_true", help="under autocast to bfloat16")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--cpu-time", action="store_true", help="processor time instead of time")
    p.add_argument("--time", type=int, default=0, metavar="N")
    p.add_argument("--serve", action="store_true")
    a = p.parse_args()
    if a.kinds:
        print(*KINDS)
        return 0
    if a.threads:
        torch.set_num_threads(a.threads)
    Sparse.form = a.sparse
    if a.check:
        return max(check(a.check) for Sparse.form in ("bag", "gather", "dense"))
    run = Run(a)
    for what in ("train", "forward"):
        run.timed(what)
    if a.time:
        for what in ("train", "forward"):
            t = statistics.median(run.timed(what) for _ in range(a.time))
            print(f"{a.kind} {what}: {run.tokens / t:.0f} tokens/s")
    if a.serve:
        print(run.tokens, flush=True)
        for line in sys.stdin:
            print(run.timed(line.strip()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
