#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/codecs/coded_page.h"
#include "kernels/codecs/internal/codec_memory.h"
#include "kernels/codecs/internal/page_header.h"
#include "kernels/isa/kernel_table.h"

namespace skein {
namespace {

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "coded page", "fetch the page again");
}

Result<void> unpack(ByteView body, std::uint32_t bits, std::span<std::uint8_t> out) {
  if (bits == 0 || bits > 8)
    return corrupt("codes are packed in " + std::to_string(bits) + " bits");
  if (body.size() != (out.size() * bits + 7) / 8) return corrupt("the packed codes are cut short");
  if (bits == 8) {
    std::memcpy(out.data(), body.data(), out.size());
    return {};
  }
  // Eight codes are `bits` whole bytes.
  const std::uint64_t mask = (1U << bits) - 1;
  std::size_t i = 0;
  for (std::size_t at = 0; i + 8 <= out.size() && at + 8 <= body.size(); i += 8, at += bits) {
    std::uint64_t word;
    std::memcpy(&word, body.data() + at, sizeof word);
    for (std::size_t j = 0; j < 8; ++j, word >>= bits) {
      out[i + j] = static_cast<std::uint8_t>(word & mask);
    }
  }
  BitReader reader(body.subspan(i / 8 * bits));
  for (; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(reader.take(bits));
  if (!reader.ends_in_zeros()) return corrupt("the last packed byte has bits too many");
  return {};
}

// Writes kTableStep entries at a time and so up to kTableStep - 1 too many, which the next code's
// then replace.
void fill_table(const Frequencies& frequencies, std::uint32_t* slot) {
  for (std::uint32_t code = 0; code < kAlphabet; ++code) {
    const std::uint32_t frequency = frequencies.of[code];
    for (std::uint32_t offset = 0; offset < frequency; offset += kTableStep) {
      for (std::uint32_t i = 0; i < kTableStep; ++i) {
        slot[offset + i] = decode_entry(frequency, offset + i, code);
      }
    }
    slot += frequency;
  }
}

// The decode tables of all contexts; returns the bytes that told them.
Result<std::size_t> read_tables(const PageHeader& header, ByteView body,
                                CodecMemory::Parts& parts) {
  const std::uint32_t bits = header.parameter;
  const auto tables = static_cast<std::uint32_t>(std::bit_width(header.contexts));
  if (bits < kMinTableBits || bits > kMaxTableBits || tables == 0 || tables << bits > kMaxSlots) {
    return corrupt("the page has " + std::to_string(tables) + " tables of " + std::to_string(bits) +
                   " bits");
  }
  BitReader reader(body);
  for (std::uint32_t c = 0; c < tables; ++c) {
    std::uint32_t* const slots = parts.table.data() + (std::size_t{c} << bits);
    if ((header.contexts >> c & 1U) == 0) {
      std::fill_n(slots, std::size_t{1} << bits, decode_entry(1, 0, 0));
      continue;
    }
    if (!read_frequencies(reader, bits, parts.frequencies[0])) {
      return corrupt("the frequencies of context " + std::to_string(c) + " do not add up");
    }
    fill_table(parts.frequencies[0], slots);
  }
  if (!reader.ends_in_zeros()) return corrupt("the tables have bits too many");
  return reader.bytes_taken();
}

// Gives the streams their contexts so that a whole round can be read at every position.
void set_contexts(CodeStreams& streams, Contexts contexts, std::size_t count,
                  CodecMemory::Parts& parts) {
  const std::size_t period = contexts.values.size();
  if (period == 0) return;
  if (count <= period) {
    streams.contexts = contexts.values.data();
    streams.period = static_cast<std::uint32_t>(period);
    return;
  }
  const std::size_t whole = (kStreams + period - 1) / period * period;
  const std::size_t repeated = std::max(whole, period);
  for (std::size_t i = 0; i < repeated + kStreams; i += period) {
    const std::size_t some = std::min(period, repeated + kStreams - i);
    std::memcpy(parts.contexts.data() + i, contexts.values.data(), some);
  }
  streams.contexts = parts.contexts.data();
  streams.period = static_cast<std::uint32_t>(repeated);
}

// The rounds for which fewer than kRoundBytes are left: they read from a copy with zeros after it.
// False when they read more than there was.
bool decode_last_rounds(CodeStreams& streams, CodecMemory::Parts& parts) {
  const auto left = static_cast<std::size_t>(streams.words_end - streams.words);
  parts.last_words.fill(std::byte{0});
  std::memcpy(parts.last_words.data(), streams.words, left);
  streams.words = parts.last_words.data();
  streams.words_end = streams.words + parts.last_words.size();
  current_kernels().decode_streams(streams);
  streams.words_end = parts.last_words.data() + left;
  return streams.rounds == 0 && streams.words <= streams.words_end;
}

// The codes after the last whole round. False when words are missing.
bool decode_rest(CodeStreams& streams, std::uint32_t count) {
  const std::uint32_t mask = (1U << streams.table_bits) - 1;
  for (std::uint32_t j = 0; j < count; ++j) {
    std::uint32_t& state = streams.states[j];
    const std::uint32_t context =
        streams.contexts == nullptr ? 0 : streams.contexts[streams.position + j];
    const std::uint32_t entry = streams.table[(context << streams.table_bits) + (state & mask)];
    state = ((entry & 0xFFF) + 1) * (state >> streams.table_bits) + ((entry >> 12) & 0xFFF);
    if (state < kLowestState) {
      if (streams.words_end - streams.words < 2) return false;
      std::uint16_t word;
      std::memcpy(&word, streams.words, sizeof word);
      streams.words += sizeof word;
      state = (state << 16) | word;
    }
    streams.codes[j] = static_cast<std::uint8_t>(entry >> 24);
  }
  return true;
}

Result<void> decode_coded(const PageHeader& header, ByteView body, Contexts contexts,
                          CodecMemory::Parts& parts, std::span<std::uint8_t> out) {
  TRY(const std::size_t table_bytes, read_tables(header, body, parts));
  const auto tables = static_cast<std::uint8_t>(std::bit_width(header.contexts));
  const std::uint8_t most = largest(contexts.values);
  if (most >= tables) return corrupt("context " + std::to_string(most) + " has no table");
  body = body.subspan(table_bytes);
  if (body.size() < sizeof parts.states || body.size() % 2 != 0) {
    return corrupt("the streams are cut short");
  }
  std::memcpy(parts.states.data(), body.data(), sizeof parts.states);
  body = body.subspan(sizeof parts.states);
  CodeStreams streams = {.table = parts.table.data(),
                         .table_bits = header.parameter,
                         .states = parts.states.data(),
                         .words = body.data(),
                         .words_end = body.data() + body.size(),
                         .codes = out.data(),
                         .rounds = header.count / kStreams};
  set_contexts(streams, contexts, out.size(), parts);
  current_kernels().decode_streams(streams);
  if (streams.rounds > 0 && !decode_last_rounds(streams, parts)) {
    return corrupt("the streams are cut short");
  }
  if (!decode_rest(streams, header.count % kStreams)) return corrupt("the streams are cut short");
  if (streams.words != streams.words_end) return corrupt("the streams go on after the last code");
  for (const std::uint32_t state : parts.states) {
    if (state != kLowestState) return corrupt("a stream does not end where it began");
  }
  return {};
}

}  // namespace

CodecMemory::CodecMemory() : parts_(std::make_unique_for_overwrite<Parts>()) {}
CodecMemory::~CodecMemory() = default;
CodecMemory::CodecMemory(CodecMemory&&) noexcept = default;
CodecMemory& CodecMemory::operator=(CodecMemory&&) noexcept = default;

Result<void> decode_page(ByteView page, Contexts contexts, CodecMemory& memory,
                         std::span<std::uint8_t> out) {
  CHECK(out.size() <= kMaxPageCodes && contexts.values.size() <= kMaxPageCodes);
  if (page.size() < kPageHeaderBytes) return corrupt("the page is cut short");
  const auto header = load_le<PageHeader>(page, 0);
  if (memory.compares_checks() && header.check != check_of(page.subspan(kCheckedFrom))) {
    return corrupt("the page does not match its check");
  }
  if (header.count != out.size()) {
    return corrupt("the page has " + std::to_string(header.count) + " codes, not " +
                   std::to_string(out.size()));
  }
  if (header.form != PageForm::kCoded && header.contexts != 0) {
    return corrupt("the page has contexts without a table");
  }
  const ByteView body = page.subspan(kPageHeaderBytes);
  switch (header.form) {
    case PageForm::kOneCode:
      if (!body.empty()) return corrupt("there are bytes after the only code");
      std::ranges::fill(out, header.parameter);
      return {};
    case PageForm::kPacked:
      return unpack(body, header.parameter, out);
    case PageForm::kCoded:
      return decode_coded(header, body, contexts, memory.parts(), out);
  }
  return corrupt("the page is of form " + std::to_string(static_cast<int>(header.form)));
}

}  // namespace skein
