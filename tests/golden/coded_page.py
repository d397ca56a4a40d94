#!/usr/bin/env python3
"""Makes the golden coded pages of coded_page/: an encoder of its own, written from
kernels/codecs/README.md, not from the code. Run from anywhere with Python 3.

A good page NAME.page stands beside NAME.codes (its codes) and NAME.contexts (the contexts, repeated
from the start; empty = none). Pages below bad-*.page are good ones with one thing broken.
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "coded_page"
STREAMS, LOWEST = 64, 1 << 16


class Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [(value >> i) & 1 for i in range(count)]

    def golomb(self, value):
        width = (value + 1).bit_length()
        self.put(0, width - 1)
        self.put(1, 1)
        self.put(value + 1, width - 1)

    def bytes(self):
        bits = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(b << i for i, b in enumerate(bits[at:at + 8]))
                     for at in range(0, len(bits), 8))


def mixed(value, word):
    value = ((value ^ word) * 0x9E3779B97F4A7C15) & (1 << 64) - 1
    return value ^ value >> 32


def checked(page):
    """The page with its check in front."""
    blocks = page + bytes(32 - len(page) % 32)
    lanes = [1, 2, 3, 4]
    for at in range(0, len(blocks), 8):
        lanes[at // 8 % 4] = mixed(lanes[at // 8 % 4],
                                   int.from_bytes(blocks[at:at + 8], "little"))
    check = len(page)
    for lane in lanes:
        check = mixed(check, lane)
    return struct.pack("<I", check & 0xFFFFFFFF) + page


def header(form, parameter, contexts, count):
    return struct.pack("<BBHI", form, parameter, contexts, count)


def packed(codes, bits):
    out = Bits()
    for code in codes:
        out.put(code, bits)
    return header(1, bits, 0, len(codes)) + out.bytes()


def frequencies(codes, slots):
    """Any frequencies that sum to `slots` will do: these are not the ones our encoder picks."""
    counts = {code: codes.count(code) for code in set(codes)}
    scaled = {code: max(1, n * slots // len(codes)) for code, n in counts.items()}
    most = max(scaled, key=lambda code: (scaled[code], code))
    scaled[most] += slots - sum(scaled.values())
    assert scaled[most] > 0
    return scaled


def write_table(out, table):
    first, last = min(table), max(table)
    out.put(first, 8)
    out.put(last, 8)
    before = 1
    for code in range(first, last + 1):
        width = table.get(code, 0).bit_length()
        step = width - before
        out.golomb(2 * step if step >= 0 else -2 * step - 1)
        out.put(table.get(code, 0), max(width - 1, 0))
        before = width


def coded(codes, contexts, bits):
    context_of = [contexts[i % len(contexts)] if contexts else 0 for i in range(len(codes))]
    tables, starts, out, present = {}, {}, Bits(), 0
    for context in sorted(set(context_of)):
        mine = [code for code, own in zip(codes, context_of) if own == context]
        tables[context] = frequencies(mine, 1 << bits)
        start, starts[context] = 0, {}
        for code in sorted(tables[context]):
            starts[context][code] = start
            start += tables[context][code]
        write_table(out, tables[context])
        present |= 1 << context
    states, words = [LOWEST] * STREAMS, []
    for i in reversed(range(len(codes))):
        frequency = tables[context_of[i]][codes[i]]
        state = states[i % STREAMS]
        if state >= frequency << (32 - bits):
            words.append(state & 0xFFFF)
            state >>= 16
        states[i % STREAMS] = (((state // frequency) << bits) + state % frequency +
                               starts[context_of[i]][codes[i]])
    return (header(2, bits, present, len(codes)) + out.bytes() + struct.pack("<64I", *states) +
            struct.pack(f"<{len(words)}H", *reversed(words)))


def draw(count, most, seed):
    """Codes that fall off like a geometric distribution: the bits of an LCG, counted."""
    codes, state = [], seed
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        zeros = (((state >> 8) | 1 << 20) & -((state >> 8) | 1 << 20)).bit_length() - 1
        codes.append(min(zeros, most))
    return codes


def write(name, page, codes=None, contexts=()):
    (HERE / f"{name}.page").write_bytes(checked(page))
    if codes is not None:
        (HERE / f"{name}.codes").write_bytes(bytes(codes))
        (HERE / f"{name}.contexts").write_bytes(bytes(contexts))


def changed(page, at, value):
    return page[:at] + bytes([value]) + page[at + 1:]


def main():
    HERE.mkdir(exist_ok=True)
    two = [5, 5, 6, 5]
    geometric = draw(1000, 9, 1)
    columns = [0, 2, 2, 9, 0]
    by_column = [(code + 20 * columns[i % 5]) & 0xFF for i, code in enumerate(draw(333, 7, 2))]
    good = coded(geometric, (), 9)
    write("empty", header(0, 0, 0, 0), [])
    write("one-code", header(0, 200, 0, 70), [200] * 70)
    write("packed-3-bits", packed([7, 0, 1, 2, 3], 3), [7, 0, 1, 2, 3])
    write("packed-bytes", packed(list(range(256)), 8), range(256))
    write("worked-example", coded(two, (), 8), two)
    write("geometric", good, geometric)
    write("contexts", coded(by_column, columns, 10), by_column, columns)
    write("bad-form", changed(good, 0, 3))
    write("bad-table-bits", changed(good, 1, 13))
    write("bad-no-table", changed(good, 2, 0))
    write("bad-count", changed(good, 4, 231))
    write("bad-frequency", changed(good, 10, good[10] ^ 0x10))
    write("bad-state", changed(good, 40, good[40] ^ 1))
    write("bad-word", changed(good, len(good) - 9, good[-9] ^ 4))
    write("bad-cut", good[:-2])
    write("bad-longer", good + b"\0\0")
    write("bad-one-code-and-more", header(0, 200, 0, 1000) + b"\0")
    write("bad-packed-bits", header(1, 9, 0, 1000) + bytes(1125))
    (HERE / "bad-check.page").write_bytes(changed(checked(good), 0, checked(good)[0] ^ 1))
    write("bad-packed-cut", header(1, 4, 0, 1000) + bytes(499))
    print("worked-example", checked(coded(two, (), 8)).hex(" "))


main()
