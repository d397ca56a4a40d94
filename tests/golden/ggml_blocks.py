"""ggml's block formats for make_golden.py: float rows packed into blocks, and blocks as floats.

Numpy, written from the formats' descriptions, independent of Skein's code. The packers are plain
(largest weight of a block, no search); the arithmetic of unpacking is float32, in the format's order.
"""
import numpy as np

ELEMENTS = {"Q4_0": 32, "Q4_1": 32, "Q5_0": 32, "Q5_1": 32, "Q8_0": 32,
            "Q4_K": 256, "Q5_K": 256, "Q6_K": 256}
BYTES = {"Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q8_0": 34,
         "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}


def halves(blocks, at):
    return blocks[:, at:at + 2].copy().view("<f2").astype(np.float32)


def f16_bytes(values):
    return np.asarray(values, dtype="<f2").reshape(-1, 1).view(np.uint8)


def join_nibbles(codes):
    """(n, 32) codes below 16 -> (n, 16) bytes, the second sixteen above."""
    return (codes[:, :16] | codes[:, 16:] << 4).astype(np.uint8)


def split_nibbles(packed):
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def fifth_bits(codes):
    word = ((codes.astype(np.uint64) >> 4) << np.arange(32, dtype=np.uint64)).sum(axis=1)
    return word.astype("<u4").reshape(-1, 1).view(np.uint8)


def divide(values, scale):
    return np.divide(values, scale, out=np.zeros_like(values), where=scale != 0)


def pack_symmetric(rows, low, high):
    """Codes low..high, the largest weight at low (Q4_0, Q5_0) or at +-high (Q8_0)."""
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    scale = np.abs(largest) / high if low == -high else largest / low
    scale = scale.astype(np.float16)
    return scale, np.clip(np.rint(divide(rows, scale.astype(np.float32))), low, high).astype(int)


def pack_affine(rows, top):
    low = rows.min(axis=1, keepdims=True)
    scale = ((rows.max(axis=1, keepdims=True) - low) / top).astype(np.float16)
    low = low.astype(np.float16)
    codes = np.rint(divide(rows - low.astype(np.float32), scale.astype(np.float32)))
    return scale, low, np.clip(codes, 0, top).astype(int)


def pack_small(kind, rows):
    if kind == "Q8_0":
        scale, codes = pack_symmetric(rows, -127, 127)
        return np.hstack([f16_bytes(scale), codes.astype(np.int8).view(np.uint8)])
    top = 31 if kind.startswith("Q5") else 15
    if kind.endswith("_0"):
        scale, codes = pack_symmetric(rows, -(top + 1) // 2, top // 2)
        head, codes = [f16_bytes(scale)], codes + (top + 1) // 2
    else:
        scale, low, codes = pack_affine(rows, top)
        head = [f16_bytes(scale), f16_bytes(low)]
    if top == 31:
        head.append(fifth_bits(codes))
    return np.hstack(head + [join_nibbles(codes & 15)])


def pack_six_bits(scales, minima):
    """Eight 6-bit scales and minima in twelve bytes."""
    packed = np.zeros((scales.shape[0], 12), dtype=np.uint8)
    packed[:, :4] = scales[:, :4] | (scales[:, 4:] >> 4) << 6
    packed[:, 4:8] = minima[:, :4] | (minima[:, 4:] >> 4) << 6
    packed[:, 8:] = (scales[:, 4:] & 15) | (minima[:, 4:] & 15) << 4
    return packed


def unpack_six_bits(packed):
    scales = np.hstack([packed[:, :4] & 63, packed[:, 8:] & 15 | (packed[:, :4] >> 6) << 4])
    minima = np.hstack([packed[:, 4:8] & 63, packed[:, 8:] >> 4 | (packed[:, 4:8] >> 6) << 4])
    return scales, minima


def pack_q4k_q5k(kind, rows):
    top = 31 if kind == "Q5_K" else 15
    groups = rows.reshape(-1, 8, 32)
    minima = np.maximum(-groups.min(axis=2), 0)
    scales = (groups.max(axis=2) + minima) / top
    scale = (scales.max(axis=1) / 63).astype(np.float16)
    minimum = (minima.max(axis=1) / 63).astype(np.float16)
    six_s = np.rint(divide(scales, scale.astype(np.float32)[:, None])).clip(0, 63).astype(np.uint8)
    six_m = np.rint(divide(minima, minimum.astype(np.float32)[:, None])).clip(0, 63).astype(np.uint8)
    step = scale.astype(np.float32)[:, None, None] * six_s[:, :, None]
    shift = minimum.astype(np.float32)[:, None, None] * six_m[:, :, None]
    codes = np.rint(divide(groups + shift, np.broadcast_to(step, groups.shape)))
    codes = codes.clip(0, top).astype(np.uint8)
    parts = [f16_bytes(scale), f16_bytes(minimum), pack_six_bits(six_s, six_m)]
    if kind == "Q5_K":
        fifth = codes >> 4
        parts.append(sum(fifth[:, j] << j for j in range(8)).astype(np.uint8))
    low = codes & 15
    parts += [low[:, 2 * j] | low[:, 2 * j + 1] << 4 for j in range(4)]
    return np.hstack(parts)


def pack_q6k(rows):
    groups = rows.reshape(-1, 16, 16)
    largest = np.take_along_axis(groups, np.abs(groups).argmax(axis=2)[:, :, None], axis=2)[..., 0]
    scales = largest / -32
    scale = (np.abs(scales).max(axis=1) / 127).astype(np.float16)
    small = np.rint(divide(scales, scale.astype(np.float32)[:, None])).clip(-127, 127)
    step = scale.astype(np.float32)[:, None, None] * small[:, :, None].astype(np.float32)
    codes = np.rint(divide(groups, np.broadcast_to(step, groups.shape))).clip(-32, 31) + 32
    codes = codes.astype(np.uint8).reshape(-1, 2, 4, 32)  # half, quarter, element
    low = (codes & 15)[:, :, :2] | (codes & 15)[:, :, 2:] << 4
    high = sum((codes[:, :, q] >> 4) << (2 * q) for q in range(4)).astype(np.uint8)
    return np.hstack([low.reshape(-1, 128), high.reshape(-1, 64),
                      small.astype(np.int8).view(np.uint8), f16_bytes(scale)])


def pack(kind, values):
    """Any shape whose last dimension is whole blocks -> the blocks' bytes, a row each."""
    rows = np.asarray(values, dtype=np.float32).reshape(-1, ELEMENTS[kind])
    if kind == "Q6_K":
        return pack_q6k(rows)
    return pack_q4k_q5k(kind, rows) if kind.endswith("K") else pack_small(kind, rows)


def unpack_small(kind, blocks):
    scale = halves(blocks, 0)
    if kind == "Q8_0":
        return blocks[:, 2:].view(np.int8).astype(np.float32) * scale
    codes = split_nibbles(blocks[:, -16:]).astype(np.float32)
    if kind.startswith("Q5"):
        word = blocks[:, -20:-16].copy().view("<u4")
        codes = codes + 16 * (word >> np.arange(32, dtype=np.uint32) & 1).astype(np.float32)
    if kind.endswith("_1"):
        return codes * scale + halves(blocks, 2)
    return (codes - (16 if kind == "Q5_0" else 8)) * scale


def unpack_q4k_q5k(kind, blocks):
    six_s, six_m = unpack_six_bits(blocks[:, 4:16])
    step = halves(blocks, 0) * six_s.astype(np.float32)
    shift = halves(blocks, 2) * six_m.astype(np.float32)
    low = blocks[:, -128:].reshape(-1, 4, 32)
    codes = np.stack([low & 15, low >> 4], axis=2).reshape(-1, 8, 32)
    if kind == "Q5_K":
        fifth = blocks[:, 16:48][:, None, :] >> np.arange(8, dtype=np.uint8)[None, :, None] & 1
        codes = codes + 16 * fifth
    return step[:, :, None] * codes.astype(np.float32) - shift[:, :, None]


def unpack_q6k(blocks):
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> (2 * np.arange(4, dtype=np.uint8))[:, None] & 3
    codes = np.concatenate([low & 15, low >> 4], axis=2) | high << 4
    small = blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    step = halves(blocks, 208) * small
    centred = codes.reshape(-1, 16, 16).astype(np.float32) - 32
    return step[:, :, None] * centred


def unpack(kind, blocks):
    if kind == "Q6_K":
        out = unpack_q6k(blocks)
    else:
        out = unpack_q4k_q5k(kind, blocks) if kind.endswith("K") else unpack_small(kind, blocks)
    assert out.dtype == np.float32
    return out.reshape(-1)


def random_blocks(kind, count, rng):
    """Any bytes, but scales and minima that are numbers."""
    blocks = rng.integers(0, 256, (count, BYTES[kind]), dtype=np.uint8)
    at = [208] if kind == "Q6_K" else [0, 2] if kind[-1] in "1K" else [0]
    for place in at:
        word = blocks[:, place:place + 2].copy().view("<u2")
        word[word >> 10 & 31 == 31] &= 0x83FF
        blocks[:, place:place + 2] = word.view(np.uint8)
    return blocks
