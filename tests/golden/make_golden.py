#!/usr/bin/env python3
"""Makes the golden models of this folder: seeded weights, token ids, float64 logits.

Independent of Skein's code: numpy in double precision, written from the paper's formulas. Run with
Debian's python3-numpy from anywhere; the files land beside this script, byte for byte the same.
"""
import json
import pathlib
import struct

import numpy as np

import ggml_blocks
import older_versions
import other_dialects
from other_dialects import to_bf16

SMALL_VOCAB = 60
HERE = pathlib.Path(__file__).resolve().parent
WORDS = ["robot ", "gripper ", "battery ", "low", "moved ", "to ", "dock", "error ", "arm ",
         "ok\n", " the ", "User: ", "Assistant:", "\n\n", "\u00e9", "\u96fb\u6c60", "it's", 'a"b'
         ]


def vocabulary():
    tokens = [bytes([b]) for b in range(256)] + [w.encode() for w in WORDS]
    lines = []
    for number, token in enumerate(tokens, start=1):
        try:
            literal = repr(token.decode("utf-8"))
        except UnicodeDecodeError:
            literal = repr(token)
        lines.append(f"{number} {literal} {len(token)}\n")
    (HERE / "tiny-vocab.txt").write_text("".join(lines), encoding="utf-8")
    return len(tokens) + 1


def make_weights(seed, layers, width, ffn, vocab, rank):
    rng = np.random.default_rng(seed)
    heads = width // 64
    out = {}

    def normal(*shape, spread=1.0):
        return rng.standard_normal(shape) * spread

    def matrix(rows, cols, gain=1.0):
        return normal(rows, cols, spread=gain / np.sqrt(cols))

    def norm(name):
        out[name + ".weight"] = 1 + normal(width, spread=0.1)
        out[name + ".bias"] = normal(width, spread=0.1)

    out["emb.weight"] = normal(vocab, width)
    for i in range(layers):
        b = f"blocks.{i}."
        if i == 0:
            norm(b + "ln0")
        norm(b + "ln1")
        norm(b + "ln2")
        for letter in "rwkvag":
            out[b + f"att.x_{letter}"] = rng.uniform(0, 1, (1, 1, width))
        for letter in "wavg":
            if letter == "v" and i == 0:
                continue
            out[b + f"att.{letter}1"] = matrix(width, rank)
            out[b + f"att.{letter}2"] = matrix(rank, width)
            if letter != "g":
                low, high = (-6, 1) if letter == "w" else (-1, 1)
                out[b + f"att.{letter}0"] = rng.uniform(low, high, (1, 1, width))
        out[b + "att.k_k"] = rng.uniform(0.7, 1, (1, 1, width))
        out[b + "att.k_a"] = rng.uniform(0.8, 1.2, (1, 1, width))
        out[b + "att.r_k"] = normal(heads, 64, spread=0.2)
        for name in ("receptance", "key", "value", "output"):
            out[b + f"att.{name}.weight"] = matrix(width, width)
        norm(b + "att.ln_x")
        out[b + "ffn.x_k"] = rng.uniform(0, 1, (1, 1, width))
        out[b + "ffn.key.weight"] = matrix(ffn, width)
        out[b + "ffn.value.weight"] = matrix(width, ffn)
    norm("ln_out")
    out["head.weight"] = matrix(vocab, width)
    return out


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(x, weight, bias, epsilon=1e-5):
    return (x - x.mean()) / np.sqrt(x.var() + epsilon) * weight + bias


def forward(weights, tokens):
    """Float64 logits after every token, from the zero state."""
    z = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    z = {name: value.reshape(-1) if value.ndim == 3 else value for name, value in z.items()}
    width = z["emb.weight"].shape[1]
    heads = width // 64
    layers = 1 + max(int(name.split(".")[1]) for name in z if name.startswith("blocks."))
    before_att = np.zeros((layers, width))
    before_ffn = np.zeros((layers, width))
    state = np.zeros((layers, heads, 64, 64))
    rows = []
    for token in tokens:
        x = layer_norm(z["emb.weight"][token], z["blocks.0.ln0.weight"], z["blocks.0.ln0.bias"])
        v_first = None
        for i in range(layers):
            p = {n[len(f"blocks.{i}."):]: t for n, t in z.items() if n.startswith(f"blocks.{i}.")}
            xx = layer_norm(x, p["ln1.weight"], p["ln1.bias"])
            shifted = {c: xx + p[f"att.x_{c}"] * (before_att[i] - xx) for c in "rwkvag"}
            before_att[i] = xx
            r = p["att.receptance.weight"] @ shifted["r"]
            k = p["att.key.weight"] @ shifted["k"]
            v = p["att.value.weight"] @ shifted["v"]
            decay = p["att.w0"] + np.tanh(shifted["w"] @ p["att.w1"]) @ p["att.w2"]
            w = np.exp(-np.exp(-0.5) * sigmoid(decay))
            a = sigmoid(p["att.a0"] + shifted["a"] @ p["att.a1"] @ p["att.a2"])
            g = sigmoid(shifted["g"] @ p["att.g1"]) @ p["att.g2"]
            if i == 0:
                v_first = v
            else:
                v = v + (v_first - v) * sigmoid(
                    p["att.v0"] + shifted["v"] @ p["att.v1"] @ p["att.v2"])
            kk = (k * p["att.k_k"]).reshape(heads, 64)
            kk = kk / np.maximum(np.linalg.norm(kk, axis=1, keepdims=True), 1e-12)
            k = k + k * (a - 1) * p["att.k_a"]
            y = np.zeros((heads, 64))
            r, w, k, v, a = (t.reshape(heads, 64) for t in (r, w, k, v, a))
            for h in range(heads):
                s = state[i, h]
                s = s * w[h] - np.outer(s @ kk[h], kk[h] * a[h]) + np.outer(v[h], k[h])
                state[i, h] = s
                y[h] = s @ r[h]
                y[h] = (y[h] - y[h].mean()) / np.sqrt(y[h].var() + 64e-5)
            y = y.reshape(-1) * p["att.ln_x.weight"] + p["att.ln_x.bias"]
            bonus = (r * k * p["att.r_k"].reshape(heads, 64)).sum(axis=1, keepdims=True) * v
            x = x + p["att.output.weight"] @ ((y + bonus.reshape(-1)) * g)
            xx = layer_norm(x, p["ln2.weight"], p["ln2.bias"])
            key = p["ffn.key.weight"] @ (xx + p["ffn.x_k"] * (before_ffn[i] - xx))
            before_ffn[i] = xx
            x = x + p["ffn.value.weight"] @ np.maximum(key, 0) ** 2
        x = layer_norm(x, z["ln_out.weight"], z["ln_out.bias"])
        rows.append(z["head.weight"] @ x)
    return np.array(rows)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_safetensors(path, tensors, dtype):
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        blob = value.tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape),
                        "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def as_rwkv_cpp(weights):
    """RWKV-7 as rwkv.cpp tells it, in float32."""
    out = {}
    for name, value in weights.items():
        part = name.split(".")[-1]
        if part.startswith("x_") and ".att." in name:
            if part != "x_r":
                continue
            block = name[:-len("x_r")]
            name, value = block + "x_rwkvag", np.concatenate(
                [weights[block + f"x_{c}"] for c in "rwkvag"])
        if part in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
            value = value.T
        out[name] = np.ascontiguousarray(value, dtype=np.float32)
    return out


def write_rwkv_cpp(path, weights, half):
    """rwkv.cpp's .bin: joined token-shift mixes, transposed LoRA matrices, reversed shapes."""
    vocab, width = weights["emb.weight"].shape
    layers = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks."))
    out = struct.pack("<6I", 0x67676D66, 101, vocab, width, layers, int(half))
    for name, value in as_rwkv_cpp(weights).items():
        as_half = half and value.ndim == 2 and "r_k" not in name and ".time_" not in name
        value = value.astype(np.float16 if as_half else np.float32)
        key = name.encode()
        out += struct.pack("<3I", value.ndim, len(key), int(as_half))
        out += struct.pack(f"<{value.ndim}I", *reversed(value.shape)) + key + value.tobytes()
    path.write_bytes(out)


def write_logits(stem, logits):
    (HERE / f"{stem}.logits.f64").write_bytes(logits.astype("<f8").tobytes())


def write_older(version, seed, vocab, tokens):
    """bf16 weights, once in safetensors and once as rwkv.cpp tells them."""
    stem = f"tiny-v{version}"
    weights = older_versions.make_weights(version, seed, vocab)
    stored = {name: to_bf16(value) for name, value in weights.items()}
    write_safetensors(HERE / f"{stem}.safetensors", stored, "BF16")
    weights = {name: from_bf16(value) for name, value in stored.items()}
    write_rwkv_cpp(HERE / f"{stem}.bin", older_versions.as_rwkv_cpp(version, weights), half=True)
    write_logits(stem, older_versions.forward(version, weights, tokens))


def write_expected(stem, weights, tokens):
    (HERE / f"{stem}.tokens").write_text(" ".join(map(str, tokens)) + "\n")
    write_logits(stem, forward(weights, tokens))


MINI_TOKENS = [b"\x00", b"\n", b"\t", b"\r", b"'", b'"', b"\\", b"\xff", b"\xe9\x9b",
               "\u96fb\u6c60".encode(), b"it's", b'a"b', b"'\"", b"\\x41", b"[PAD7]", b" the "]


def cycle_types(kinds, is_packed, plain="F32"):
    """Matrices that `is_packed` names take the kinds in turn, other matrices F16, the rest `plain`."""
    state = {"next": 0}

    def choose(name, value):
        if value.ndim != 2 or "r_k" in name or ".time_first" in name or ".time_faaaa" in name:
            return plain
        if not is_packed(name, value):
            return "F16"
        state["next"] += 1
        return kinds[(state["next"] - 1) % len(kinds)]
    return choose


def write_blocks():
    rng = np.random.default_rng(9)
    folder = HERE / "blocks"
    folder.mkdir(exist_ok=True)
    for kind in ggml_blocks.BYTES:
        blocks = ggml_blocks.random_blocks(kind, 24, rng)
        values = ggml_blocks.unpack(kind, blocks)
        (folder / kind).write_bytes(blocks.tobytes() + values.astype("<f4").tobytes())


def write_dialects(tokens):
    old_kinds = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
    mini = make_weights(seed=7, layers=2, width=64, ffn=96, vocab=SMALL_VOCAB, rank=8)
    bf16 = {name: to_bf16(value) for name, value in mini.items()}
    write_safetensors(HERE / "mini-hf.safetensors", other_dialects.hugging_face(bf16), "BF16")
    mini = {name: from_bf16(value) for name, value in bf16.items()}
    write_logits("mini", forward(mini, tokens))

    words = MINI_TOKENS + [bytes([b]) for b in range(ord("a"), ord("z") + 1)]
    lines = [f"{i} {t!r} {len(t)}\n" for i, t in enumerate(words, start=1)]
    (HERE / "mini-vocab.txt").write_text("".join(lines), encoding="utf-8")
    metadata = {**other_dialects.gguf_metadata(7, 64, 2),
                **other_dialects.token_metadata(words, SMALL_VOCAB)}
    told, _ = other_dialects.gguf_tensors(
        mini, 7, cycle_types(["BF16"], lambda name, value: True))
    other_dialects.write_gguf(HERE / "mini-bf16.gguf", metadata, told)

    def whole_rows(name, value):
        return value.shape[-1] % 32 == 0

    told, values = other_dialects.gguf_tensors(mini, 7, cycle_types(old_kinds, whole_rows))
    other_dialects.write_gguf(HERE / "mini-blocks.gguf", other_dialects.gguf_metadata(7, 64, 2),
                              told, version=2)
    write_logits("mini-blocks-gguf", forward(values, tokens))

    def quantized_by_rwkv_cpp(name, value):
        lora = name.split(".")[-1][0] in "wavg" and name[-1] in "12"
        return name not in ("emb.weight", "head.weight") and not lora

    stands = other_dialects.write_rwkv_cpp_blocks(
        HERE / "mini-blocks.bin", as_rwkv_cpp(mini), cycle_types(old_kinds, quantized_by_rwkv_cpp))
    values = {}
    for name, value in stands.items():
        if name.endswith("x_rwkvag"):
            for i, c in enumerate("rwkvag"):
                values[name.replace("x_rwkvag", f"x_{c}")] = value[i:i + 1]
        elif name.split(".")[-1] in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
            values[name] = value.T
        else:
            values[name] = value
    write_logits("mini-blocks-bin", forward(values, tokens))

    wide = make_weights(seed=256, layers=2, width=256, ffn=256, vocab=SMALL_VOCAB, rank=8)
    told, values = other_dialects.gguf_tensors(
        wide, 7, cycle_types(["Q4_K", "Q5_K", "Q6_K"], lambda name, value: value.shape[-1] == 256
                             and value.shape[0] != 8))
    other_dialects.write_gguf(HERE / "wide-k.gguf", other_dialects.gguf_metadata(7, 64, 2), told)
    write_logits("wide-k", forward(values, tokens))


def write_dialects_of_6(tokens):
    weights = older_versions.make_weights("6", 66, SMALL_VOCAB, layers=3, rank=8)
    kinds = ["Q8_0", "BF16", "Q5_0"]
    told, values = other_dialects.gguf_tensors(
        weights, 6, cycle_types(kinds, lambda name, value: value.shape[-1] % 32 == 0), rescale=1)
    metadata = other_dialects.gguf_metadata(6, older_versions.HEAD, 3, rescale=1)
    other_dialects.write_gguf(HERE / "mini-v6.gguf", metadata, told)
    write_logits("mini-v6-gguf", older_versions.forward("6", values, tokens))

    told = older_versions.as_rwkv_cpp("6", weights)
    stands = other_dialects.write_rwkv_cpp_blocks(
        HERE / "mini-v6-blocks.bin", told,
        cycle_types(["Q5_1", "Q4_0", "Q8_0"], lambda name, value: name not in (
            "emb.weight", "head.weight") and value.shape[-1] % 32 == 0))
    values = {name: np.swapaxes(value, -1, -2) if name.split(".")[-1] in (
        "time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2")
        else value.reshape(weights[name].shape) for name, value in stands.items()}
    write_logits("mini-v6-bin", older_versions.forward("6", values, tokens))


def main():
    vocab = vocabulary()
    rng = np.random.default_rng(1)
    tokens = [0] + [int(t) for t in rng.integers(1, vocab, 23)]

    small = make_weights(seed=64, layers=2, width=64, ffn=256, vocab=vocab, rank=24)
    small = {name: value.astype(np.float32) for name, value in small.items()}
    write_safetensors(HERE / "tiny-64-f32.safetensors", small, "F32")
    write_rwkv_cpp(HERE / "tiny-64-fp32.bin", small, half=False)
    write_expected("tiny-64-f32", small, tokens)

    write_rwkv_cpp(HERE / "tiny-64-fp16.bin", small, half=True)
    halved = {name: value.astype(np.float16) if value.ndim == 2 and "r_k" not in name else value
              for name, value in small.items()}
    write_expected("tiny-64-fp16", halved, tokens)

    # A channel mix that is no multiple of the width, LoRA ranks that are no multiple of 16.
    large = make_weights(seed=128, layers=3, width=128, ffn=328, vocab=vocab, rank=20)
    large = {name: to_bf16(value) for name, value in large.items()}
    write_safetensors(HERE / "tiny-128-bf16.safetensors", large, "BF16")
    large = {name: from_bf16(value) for name, value in large.items()}
    write_expected("tiny-128-bf16", large, tokens)

    few = [0] + [int(t) for t in rng.integers(1, SMALL_VOCAB, 11)]
    (HERE / "tiny-older.tokens").write_text(" ".join(map(str, few)) + "\n")
    for version, seed in (("4", 4), ("5.1", 51), ("5.2", 52), ("6", 6)):
        write_older(version, seed, SMALL_VOCAB, few)
    write_blocks()
    write_dialects(few)
    write_dialects_of_6(few)


if __name__ == "__main__":
    main()
