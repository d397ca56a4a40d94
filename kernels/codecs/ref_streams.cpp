#include <cstring>

#include "kernels/codecs/streams.h"

namespace skein::reference {

void decode_streams(CodeStreams& in) {
  const std::uint32_t mask = (1U << in.table_bits) - 1;
  while (in.rounds > 0 && in.words_end - in.words >= kRoundBytes) {
    for (std::uint32_t j = 0; j < kStreams; ++j) {
      std::uint32_t state = in.states[j];
      const std::uint32_t context = in.contexts == nullptr ? 0 : in.contexts[in.position + j];
      const std::uint32_t entry = in.table[(context << in.table_bits) + (state & mask)];
      state = ((entry & 0xFFF) + 1) * (state >> in.table_bits) + ((entry >> 12) & 0xFFF);
      if (state < kLowestState) {
        std::uint16_t word;
        std::memcpy(&word, in.words, sizeof word);
        in.words += sizeof word;
        state = (state << 16) | word;
      }
      in.states[j] = state;
      in.codes[j] = static_cast<std::uint8_t>(entry >> 24);
    }
    in.codes += kStreams;
    --in.rounds;
    if (in.contexts != nullptr) {
      in.position += kStreams;
      if (in.position >= in.period) in.position -= in.period;
    }
  }
}

}  // namespace skein::reference
