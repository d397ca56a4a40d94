"""The golden models in other tools' dialects, for make_golden.py: GGUF, rwkv.cpp with blocks, and
Hugging Face's names. Independent of Skein's code.
"""
import struct

import numpy as np

import ggml_blocks

TYPES = {"F32": 0, "F16": 1, "BF16": 30, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8,
         "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}
RWKV_CPP_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 7, "Q5_1": 8, "Q8_0": 9}
ALIGNMENT = 64


def to_bf16(values):
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def store(kind, value):
    """Bytes in the file, and the float32 values they stand for."""
    value = np.ascontiguousarray(value, dtype=np.float32)
    if kind == "F32":
        return value.tobytes(), value
    if kind == "F16":
        half = value.astype("<f2")
        return half.tobytes(), half.astype(np.float32)
    if kind == "BF16":
        bits = to_bf16(value)
        return bits.tobytes(), (bits.astype(np.uint32) << 16).view(np.float32)
    blocks = ggml_blocks.pack(kind, value)
    return blocks.tobytes(), ggml_blocks.unpack(kind, blocks).reshape(value.shape)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value)) + value


def key_value(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    kind, items = (8, [text(v) for v in value]) if isinstance(value[0], bytes) else (
        5, [struct.pack("<i", v) for v in value])
    return text(key) + struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)


def write_gguf(path, metadata, tensors, version=3):
    """`tensors`: (name, type, shape, bytes), shapes outermost first."""
    metadata = {"general.alignment": ALIGNMENT, **metadata}
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    out += b"".join(key_value(k, v) for k, v in metadata.items())
    at, data = 0, b""
    for name, kind, shape, blob in tensors:
        out += text(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *reversed(shape))
        out += struct.pack("<IQ", TYPES[kind], at)
        blob += b"\0" * (-len(blob) % ALIGNMENT)
        data += blob
        at += len(blob)
    path.write_bytes(out + b"\0" * (-len(out) % ALIGNMENT) + data)


def token_metadata(tokens, vocab):
    """As llama.cpp's converter writes the World vocabulary."""
    texts = [b"<s>"] + [repr(t)[2:-1].encode() for t in tokens]
    types = [3] + [1] * len(tokens)
    texts += [f"[PAD{i}]".encode() for i in range(len(texts), vocab)]
    types += [5] * (vocab - len(types))
    return {"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.tokens": texts,
            "tokenizer.ggml.token_type": types}


OUTSIDE = {"emb.weight": "token_embd.weight", "blocks.0.ln0.weight": "token_embd_norm.weight",
           "blocks.0.ln0.bias": "token_embd_norm.bias", "ln_out.weight": "output_norm.weight",
           "ln_out.bias": "output_norm.bias", "head.weight": "output.weight"}
LAYER = {"ln1": "attn_norm", "ln2": "attn_norm_2", "att.ln_x": "time_mix_ln",
         "att.receptance": "time_mix_receptance", "att.key": "time_mix_key",
         "att.value": "time_mix_value", "att.gate": "time_mix_gate",
         "att.output": "time_mix_output", "ffn.key": "channel_mix_key",
         "ffn.value": "channel_mix_value", "ffn.receptance": "channel_mix_receptance",
         "ffn.x_k": "channel_mix_lerp_k", "ffn.time_maa_k": "channel_mix_lerp_k",
         "ffn.time_maa_r": "channel_mix_lerp_r", "att.time_maa_x": "time_mix_lerp_x",
         "att.time_maa_w1": "time_mix_w1", "att.time_maa_w2": "time_mix_w2",
         "att.time_faaaa": "time_mix_first", "att.time_decay": "time_mix_decay",
         "att.time_decay_w1": "time_mix_decay_w1", "att.time_decay_w2": "time_mix_decay_w2"}
MIXES = {7: ("att.x_", "rwkvag"), 6: ("att.time_maa_", "wkvrg")}


def gguf_name(name):
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, part = name.split(".", 2)
    stem, _, end = part.rpartition(".")
    if stem in LAYER:
        return f"blk.{layer}.{LAYER[stem]}.{end}"
    known = LAYER.get(part, "time_mix_" + part.removeprefix("att."))
    return f"blk.{layer}.{known}.weight"


def gguf_tensors(weights, version, choose, rescale=0):
    """What llama.cpp's converter makes of the tensors, and the values that stand there for the
    official names. `choose`: official name and value -> type."""
    tensors, values = [], {}
    stem, letters = MIXES[version]
    lora = tuple(c + n for c in "wavg" for n in "12") + (
        "time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2")
    for name, value in weights.items():
        value = np.asarray(value, dtype=np.float32)
        part = name.split(".", 2)[-1]
        if part.startswith(stem) and part[len(stem):] in letters:
            values[name] = value
            if part[len(stem):] != letters[0]:
                continue
            block = name.removesuffix(letters[0])
            joined = np.stack([np.reshape(weights[block + c], (1, 1, -1)) for c in letters])
            layer = name.split(".")[1]
            tensors.append((f"blk.{layer}.time_mix_lerp_fused.weight", "F32", joined.shape,
                            joined.astype("<f4").tobytes()))
            continue
        told = np.swapaxes(value, -1, -2) if name.split(".")[-1] in lora else value
        told = told.reshape(-1) if part == "att.r_k" else told.squeeze()
        halved = 1
        if rescale and part in ("att.output.weight", "ffn.value.weight"):
            halved = 2 ** (int(name.split(".")[1]) // rescale)
        kind = choose(name, told)
        blob, stands_for = store(kind, told / halved)
        shape = np.swapaxes(value, -1, -2).shape if told.ndim > 1 and told.shape != value.shape \
            else value.shape
        back = (stands_for * halved).reshape(shape)
        values[name] = np.swapaxes(back, -1, -2) if name.split(".")[-1] in lora else back
        tensors.append((gguf_name(name), kind, told.shape, blob))
        if version == 7 and part in ("att.a0", "att.a1", "att.a2") and name.startswith("blocks.0."):
            tensors.append((gguf_name(name.replace("att.a", "att.v")), kind, told.shape, blob))
    return tensors, values


def gguf_metadata(version, head_size, layers, rescale=0):
    arch = f"rwkv{version}"
    out = {"general.architecture": arch, "general.name": "golden", f"{arch}.block_count": layers,
           f"{arch}.wkv.head_size": head_size,
           f"{arch}.attention.layer_norm_epsilon": float(np.float32(1e-5))}
    if version == 6:
        out["rwkv6.rescale_every_n_layers"] = rescale
    return out


def write_rwkv_cpp_blocks(path, told, choose):
    """`told`: tensors in rwkv.cpp's own form; those that `choose` gives a block type are packed.
    The values that stand there, in the same form."""
    vocab, width = told["emb.weight"].shape
    layers = 1 + max(int(n.split(".")[1]) for n in told if n.startswith("blocks."))
    out = struct.pack("<6I", 0x67676D66, 101, vocab, width, layers, RWKV_CPP_TYPES["Q5_1"])
    values = {}
    for name, value in told.items():
        kind = choose(name, value)
        blob, values[name] = store(kind, value)
        key = name.encode()
        out += struct.pack("<3I", value.ndim, len(key), RWKV_CPP_TYPES[kind])
        out += struct.pack(f"<{value.ndim}I", *reversed(value.shape)) + key + blob
    path.write_bytes(out)
    return values


def hugging_face(weights):
    """flash-linear-attention's names and shapes."""
    modules = {"receptance": "r_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj",
               "ln_x": "g_norm"}
    outside = {"emb.weight": "model.embeddings.weight", "head.weight": "lm_head.weight",
               "ln_out.weight": "model.norm.weight", "ln_out.bias": "model.norm.bias"}
    out = {}
    for name, value in weights.items():
        if name in outside:
            out[outside[name]] = value
            continue
        _, layer, part = name.split(".", 2)
        part = part.replace("ln0", "pre_norm").replace("ln1", "attn_norm").replace("ln2", "ffn_norm")
        if part.startswith("att."):
            first, _, rest = part[4:].partition(".")
            if len(first) == 2 and first[0] in "wavg" and first[1] in "012":
                end = {"0": "2.bias", "1": "0.weight", "2": "2.weight"}[first[1]]
                part = f"attn.{first[0]}_lora.lora.{end}"
                value = value.reshape(-1) if first[1] == "0" else value.T
            else:
                part = "attn." + modules.get(first, first) + ("." + rest if rest else "")
        if part in ("attn.k_k", "attn.k_a", "ffn.x_k"):
            value = value.reshape(-1)
        out[f"model.layers.{layer}.{part}"] = np.ascontiguousarray(value)
    return out
