"""RWKV 4, 5.1, 5.2 and 6 for make_golden.py: seeded weights, float64 logits, rwkv.cpp's form.

Numpy in double precision, written from the papers' formulas, one token at a time. Independent of
Skein's code.
"""
import numpy as np

HEAD = 32


def make_weights(version, seed, vocab, layers=2, width=64, ffn=160, rank=8):
    rng = np.random.default_rng(seed)
    heads = width // HEAD
    out = {}

    def normal(*shape, spread=1.0):
        return rng.standard_normal(shape) * spread

    def matrix(rows, cols):
        return normal(rows, cols, spread=1 / np.sqrt(cols))

    def norm(name):
        out[name + ".weight"] = 1 + normal(width, spread=0.1)
        out[name + ".bias"] = normal(width, spread=0.1)

    def time_mix(b):
        for name in ("receptance", "key", "value", "output"):
            out[b + f"{name}.weight"] = matrix(width, width)
        if version == "4":
            out[b + "time_decay"] = rng.uniform(-5, 1, width)
            out[b + "time_first"] = rng.uniform(-2, 2, width)
            return "rkv"
        norm(b + "ln_x")
        if version == "5.1":
            out[b + "time_decay"] = rng.uniform(-5, 1, heads)
            out[b + "time_first"] = rng.uniform(-2, 1, heads)
            return "rkv"
        out[b + "gate.weight"] = matrix(width, width)
        out[b + "time_faaaa"] = normal(heads, HEAD, spread=0.5)
        if version == "5.2":
            out[b + "time_decay"] = rng.uniform(-5, 1, (heads, HEAD))
            return "rkvg"
        out[b + "time_decay"] = rng.uniform(-5, 1, (1, 1, width))
        out[b + "time_decay_w1"] = matrix(width, rank + 5)
        out[b + "time_decay_w2"] = matrix(rank + 5, width)
        out[b + "time_maa_x"] = rng.uniform(0, 1, (1, 1, width))
        out[b + "time_maa_w1"] = matrix(width, 5 * rank)
        out[b + "time_maa_w2"] = normal(5, rank, width, spread=0.5 / np.sqrt(rank))
        return "wkvrg"

    out["emb.weight"] = normal(vocab, width)
    stem = "time_maa_" if version == "6" else "time_mix_"
    for i in range(layers):
        b = f"blocks.{i}."
        if i == 0:
            norm(b + "ln0")
        norm(b + "ln1")
        norm(b + "ln2")
        for letter in time_mix(b + "att."):
            out[b + f"att.{stem}{letter}"] = rng.uniform(0, 1, (1, 1, width))
        for letter in "kr":
            out[b + f"ffn.{stem}{letter}"] = rng.uniform(0, 1, (1, 1, width))
        out[b + "ffn.key.weight"] = matrix(ffn, width)
        out[b + "ffn.receptance.weight"] = matrix(width, width)
        out[b + "ffn.value.weight"] = matrix(width, ffn)
    norm("ln_out")
    out["head.weight"] = matrix(vocab, width)
    return out


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(x, weight, bias, epsilon=1e-5):
    return (x - x.mean()) / np.sqrt(x.var() + epsilon) * weight + bias


def weighted_average(p, k, v, state):
    """RWKV-4: sums of exp(key) v and exp(key), decaying. Small keys: no exponent is split off."""
    numerator, denominator = state.setdefault("sums", (0.0, 0.0))
    now = np.exp(p["att.time_first"] + k)
    y = (numerator + now * v) / (denominator + now)
    kept = np.exp(-np.exp(p["att.time_decay"]))
    state["sums"] = (kept * numerator + np.exp(k) * v, kept * denominator + np.exp(k))
    return y


def attention(version, p, r, k, v, decay, bonus, state):
    """RWKV-5 and 6: S[key, value]; the bonus weighs the token at hand."""
    epsilon = 64e-5 if version == "6" else 1e-5 * (HEAD / 8) ** 2
    heads = r.size // HEAD
    shape = (heads, HEAD)
    r, k, v = (t.reshape(shape) for t in (r, k, v))
    decay, bonus = (np.broadcast_to(t, shape) for t in (decay, bonus))
    s = state.setdefault("s", np.zeros((heads, HEAD, HEAD)))
    y = np.zeros(shape)
    for h in range(heads):
        kv = np.outer(k[h], v[h])
        y[h] = r[h] @ (bonus[h][:, None] * kv + s[h])
        s[h] = kv + decay[h][:, None] * s[h]
        y[h] = (y[h] - y[h].mean()) / np.sqrt(y[h].var() + epsilon)
    return y.reshape(-1) * p["att.ln_x.weight"] + p["att.ln_x.bias"]


def time_mix(version, p, x, previous, state):
    def project(name, shifted):
        return p[f"att.{name}.weight"] @ shifted

    if version == "6":
        step = previous - x
        low = np.tanh((x + step * p["att.time_maa_x"]) @ p["att.time_maa_w1"]).reshape(5, 1, -1)
        moved = (low @ p["att.time_maa_w2"]).reshape(5, -1)
        mixed = {c: x + step * (p[f"att.time_maa_{c}"] + moved[i]) for i, c in enumerate("wkvrg")}
    else:
        mixed = {c: x * p[f"att.time_mix_{c}"] + previous * (1 - p[f"att.time_mix_{c}"])
                 for c in "rkvg" if f"att.time_mix_{c}" in p}
    r = project("receptance", mixed["r"])
    k = project("key", mixed["k"])
    v = project("value", mixed["v"])
    if version == "4":
        return project("output", sigmoid(r) * weighted_average(p, k, v, state))
    heads = r.size // HEAD
    decay = p["att.time_decay"]
    if version == "5.1":
        decay, bonus = decay.reshape(heads, 1), np.exp(p["att.time_first"]).reshape(heads, 1)
    else:
        bonus = p["att.time_faaaa"]
    if version == "6":
        decay = decay + np.tanh(mixed["w"] @ p["att.time_decay_w1"]) @ p["att.time_decay_w2"]
        decay = decay.reshape(heads, HEAD)
    y = attention(version, p, r, k, v, np.exp(-np.exp(decay)), bonus, state)
    if "g" in mixed:
        gate = project("gate", mixed["g"])
        y = y * gate * sigmoid(gate)
    return project("output", y)


def channel_mix(version, p, x, previous):
    def mixed(letter):
        if version == "6":
            return x + (previous - x) * p[f"ffn.time_maa_{letter}"]
        share = p[f"ffn.time_mix_{letter}"]
        return x * share + previous * (1 - share)

    key = np.maximum(p["ffn.key.weight"] @ mixed("k"), 0) ** 2
    return sigmoid(p["ffn.receptance.weight"] @ mixed("r")) * (p["ffn.value.weight"] @ key)


def forward(version, weights, tokens):
    """Float64 logits after every token, from the start."""
    z = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    z = {n: t.reshape(-1) if t.ndim == 3 and not n.endswith("maa_w2") else t for n, t in z.items()}
    width = z["emb.weight"].shape[1]
    layers = 1 + max(int(name.split(".")[1]) for name in z if name.startswith("blocks."))
    parts = [{n[len(f"blocks.{i}."):]: t for n, t in z.items() if n.startswith(f"blocks.{i}.")}
             for i in range(layers)]
    states = [{"att": np.zeros(width), "ffn": np.zeros(width)} for _ in range(layers)]
    rows = []
    for token in tokens:
        x = layer_norm(z["emb.weight"][token], parts[0]["ln0.weight"], parts[0]["ln0.bias"])
        for p, state in zip(parts, states):
            xx = layer_norm(x, p["ln1.weight"], p["ln1.bias"])
            x = x + time_mix(version, p, xx, state["att"], state)
            state["att"] = xx
            xx = layer_norm(x, p["ln2.weight"], p["ln2.bias"])
            x = x + channel_mix(version, p, xx, state["ffn"])
            state["ffn"] = xx
        rows.append(z["head.weight"] @ layer_norm(x, z["ln_out.weight"], z["ln_out.bias"]))
    return np.array(rows)


def as_rwkv_cpp(version, weights):
    """What rwkv.cpp's converter makes of the tensors, in its own shapes."""
    out = {}
    for name, value in weights.items():
        value = value.astype(np.float32)
        if ".time_" in name:
            value = value.squeeze()
        if name.endswith("time_decay") and version != "6":
            value = -np.exp(value) if version == "4" else np.exp(-np.exp(value))
        if name.endswith("time_first") and version == "5.1":
            value = np.exp(value)
        if version.startswith("5") and name.split(".")[-1] in ("time_decay", "time_first"):
            value = value.reshape(-1, 1, 1) if version == "5.1" else value[..., None]
        if name.endswith("time_faaaa"):
            value = value[..., None]
        if name.split(".")[-1] in ("time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2"):
            value = np.swapaxes(value, -1, -2)
        out[name] = np.ascontiguousarray(value)
    return out
