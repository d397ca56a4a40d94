#include <algorithm>
#include <cstring>

#include "kernels/codecs/coded_page.h"
#include "kernels/codecs/internal/codec_memory.h"
#include "kernels/codecs/internal/page_header.h"

namespace skein {
namespace {

// Coding has to save this share of the packed size, or decoding is not worth its time.
constexpr std::size_t kLeastGain = 64;

std::size_t header_at(MutableByteView out, const PageHeader& header) {
  std::memcpy(out.data(), &header, sizeof header);
  return sizeof header;
}

std::size_t packed_bytes(std::size_t count, std::uint32_t bits) {
  return kPageHeaderBytes + (count * bits + 7) / 8;
}

std::size_t pack(std::span<const std::uint8_t> codes, std::uint32_t bits, MutableByteView out) {
  header_at(out, {.form = PageForm::kPacked,
                  .parameter = static_cast<std::uint8_t>(bits),
                  .count = static_cast<std::uint32_t>(codes.size())});
  const std::size_t bytes = packed_bytes(codes.size(), bits);
  const MutableByteView body = out.first(bytes).subspan(kPageHeaderBytes);
  if (bits == 8) {
    std::memcpy(body.data(), codes.data(), codes.size());
    return bytes;
  }
  BitWriter writer(body);
  for (const std::uint8_t code : codes) writer.put(code, bits);
  writer.finish();
  return bytes;
}

void count_codes(std::span<const std::uint8_t> codes, Contexts contexts,
                 CodecMemory::Parts& parts) {
  for (Counts& counts : parts.counts) counts.fill(0);
  const std::size_t period = contexts.values.size();
  if (period == 0) {
    // In four places: the same code again does not wait for its count.
    for (std::size_t i = 0; i < codes.size(); ++i) ++parts.counts[i % 4][codes[i]];
    for (std::size_t part = 1; part < 4; ++part) {
      for (std::size_t code = 0; code < kAlphabet; ++code) {
        parts.counts[0][code] += parts.counts[part][code];
      }
      parts.counts[part].fill(0);
    }
    return;
  }
  for (std::size_t begin = 0; begin < codes.size(); begin += period) {
    const std::size_t some = std::min(period, codes.size() - begin);
    for (std::size_t i = 0; i < some; ++i) {
      ++parts.counts[contexts.values[i]][codes[begin + i]];
    }
  }
}

std::size_t smallest_code(std::span<const Counts> of_contexts) {
  std::size_t least = kAlphabet;
  for (const Counts& counts : of_contexts) {
    for (std::size_t code = 0; code < least; ++code) {
      if (counts[code] != 0) least = code;
    }
  }
  return least;
}

std::size_t largest_code(std::span<const Counts> of_contexts) {
  std::size_t most = 0;
  for (const Counts& counts : of_contexts) {
    for (std::size_t code = most; code < kAlphabet; ++code) {
      if (counts[code] != 0) most = code;
    }
  }
  return most;
}

// Tables of more slots than half the page has codes cost more to make than they save.
std::uint32_t choose_table_bits(std::uint32_t tables, std::size_t count) {
  std::uint32_t bits = kMaxTableBits;
  const std::size_t most = std::min<std::size_t>(kMaxSlots, count / 2);
  while (bits > kMinTableBits && (std::size_t{tables} << bits) > most) --bits;
  return bits;
}

bool any(const Counts& counts) {
  return std::ranges::any_of(counts, [](std::uint32_t count) { return count != 0; });
}

// Codes backwards, the last code first, so that decoding goes forwards; words from the end of
// `room` downwards. Returns the bytes of words, or nothing when they do not fit.
class StreamWriter {
 public:
  StreamWriter(CodecMemory::Parts& parts, std::uint32_t table_bits, MutableByteView room)
      : parts_(parts), bits_(table_bits), room_(room), at_(room.size()) {
    parts_.states.fill(kLowestState);
  }

  bool write(std::span<const std::uint8_t> codes, Contexts contexts) {
    const std::size_t period = std::max<std::size_t>(contexts.values.size(), 1);
    std::size_t column = codes.size() % period;
    for (std::size_t i = codes.size(); i > 0; --i) {
      column = column == 0 ? period - 1 : column - 1;
      const std::uint8_t context = contexts.values.empty() ? 0 : contexts.values[column];
      if (!write_one((i - 1) % kStreams, context, codes[i - 1])) return false;
    }
    return true;
  }
  ByteView words() const { return room_.subspan(at_); }

 private:
  // Without a branch on the data: whether a word is due is as random as the codes are.
  bool write_one(std::size_t stream, std::uint8_t context, std::uint8_t code) {
    if (at_ < 2) return false;
    const std::uint32_t frequency = parts_.frequencies[context].of[code];
    std::uint32_t state = parts_.states[stream];
    const bool due = state >= std::uint64_t{frequency} << (32 - bits_);
    const auto word = static_cast<std::uint16_t>(state & 0xFFFF);
    std::memcpy(room_.data() + at_ - 2, &word, sizeof word);
    at_ -= due ? 2 : 0;
    state >>= due ? 16 : 0;
    parts_.states[stream] =
        (state / frequency << bits_) + state % frequency + parts_.starts[context][code];
    return true;
  }

  CodecMemory::Parts& parts_;
  std::uint32_t bits_;
  MutableByteView room_;
  std::size_t at_;
};

void find_starts(const Frequencies& frequencies, std::array<std::uint16_t, kAlphabet>& starts) {
  std::uint32_t sum = 0;
  for (std::size_t code = 0; code < kAlphabet; ++code) {
    starts[code] = static_cast<std::uint16_t>(sum);
    sum += frequencies.of[code];
  }
}

// The coded form in at most `room`, or 0. Counts are there.
std::size_t code(std::span<const std::uint8_t> codes, Contexts contexts, CodecMemory::Parts& parts,
                 MutableByteView room) {
  PageHeader header = {.form = PageForm::kCoded, .count = static_cast<std::uint32_t>(codes.size())};
  for (std::uint32_t c = 0; c < kMaxContexts; ++c) {
    if (any(parts.counts[c])) header.contexts |= static_cast<std::uint16_t>(1U << c);
  }
  const auto tables = static_cast<std::uint32_t>(std::bit_width(header.contexts));
  const std::uint32_t bits = choose_table_bits(tables, codes.size());
  header.parameter = static_cast<std::uint8_t>(bits);
  BitWriter writer(room.subspan(kPageHeaderBytes));
  double body_bits = 0;
  for (std::uint32_t c = 0; c < tables; ++c) {
    if ((header.contexts >> c & 1U) == 0) continue;
    parts.frequencies[c] = scaled(parts.counts[c], bits);
    find_starts(parts.frequencies[c], parts.starts[c]);
    body_bits += cost_in_bits(parts.counts[c], parts.frequencies[c], bits);
    write_frequencies(parts.frequencies[c], writer);
  }
  const std::size_t states_at = kPageHeaderBytes + writer.finish();
  const std::size_t words_at = states_at + sizeof parts.states;
  if (words_at + static_cast<std::size_t>(body_bits / 8) >= room.size()) return 0;
  StreamWriter streams(parts, bits, room.subspan(words_at));
  if (!streams.write(codes, contexts)) return 0;
  header_at(room, header);
  std::memcpy(room.data() + states_at, parts.states.data(), sizeof parts.states);
  const ByteView words = streams.words();
  std::memmove(room.data() + words_at, words.data(), words.size());
  return words_at + words.size();
}

std::size_t encode_unchecked(std::span<const std::uint8_t> codes, Contexts contexts,
                             CodecMemory::Parts& parts, MutableByteView out) {
  const auto count = static_cast<std::uint32_t>(codes.size());
  if (count == 0) return header_at(out, {});
  count_codes(codes, contexts, parts);
  const auto most = static_cast<std::uint8_t>(largest_code(parts.counts));
  if (smallest_code(parts.counts) == most) {
    return header_at(out, {.form = PageForm::kOneCode, .parameter = most, .count = count});
  }
  const auto bits = static_cast<std::uint32_t>(std::bit_width(most));
  const std::size_t packed = packed_bytes(count, bits);
  const std::size_t worth = packed - packed / kLeastGain;
  if (worth > kPageHeaderBytes) {
    const std::size_t bytes = code(codes, contexts, parts, out.first(worth));
    if (bytes > 0) return bytes;
  }
  return pack(codes, bits, out);
}

}  // namespace

std::size_t encode_page(std::span<const std::uint8_t> codes, Contexts contexts, CodecMemory& memory,
                        MutableByteView out) {
  CHECK(codes.size() <= kMaxPageCodes && out.size() >= coded_page_bound(codes.size()));
  CHECK(contexts.values.size() <= kMaxPageCodes);
  CHECK(largest(contexts.values) < kMaxContexts);
  const std::size_t bytes = encode_unchecked(codes, contexts, memory.parts(), out);
  store_le(out, 0, check_of(ByteView(out).first(bytes).subspan(kCheckedFrom)));
  return bytes;
}

}  // namespace skein
