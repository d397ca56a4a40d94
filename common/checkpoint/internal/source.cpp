#include "common/checkpoint/internal/source.h"

#include <algorithm>
#include <limits>

#include "common/checkpoint/checkpoint.h"

namespace skein {

namespace {
constexpr std::size_t kMaxQuoted = 120;
}

tl::unexpected<Error> Source::corrupt(std::string what, const std::string& place) const {
  return fail(Errc::kCorrupt, std::move(what), std::string(file) + ", " + place,
              "the file is damaged or cut short; copy or download it again");
}

tl::unexpected<Error> Source::unsupported(std::string what, const std::string& place,
                                          std::string remedy) const {
  return fail(Errc::kUnsupported, std::move(what), std::string(file) + ", " + place,
              std::move(remedy));
}

std::string quoted(std::string_view name) {
  std::string out(name.substr(0, kMaxQuoted));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return "\"" + out + (name.size() > kMaxQuoted ? "...\"" : "\"");
}

std::string at_byte(std::uint64_t offset) { return "byte " + std::to_string(offset); }

std::uint64_t element_bytes(Format format) { return format == Format::kF32 ? 4 : 2; }

BlockSize unit_of(Packing packing, Format format) {
  if (packing != Packing::kNone) return block_size(packing);
  return {.elements = 1, .bytes = static_cast<std::uint32_t>(element_bytes(format))};
}

std::optional<std::uint64_t> count_elements(const std::vector<std::uint64_t>& shape,
                                            std::uint64_t limit) {
  if (shape.empty() || shape.size() > kMaxTensorRank) return std::nullopt;
  std::uint64_t count = 1;
  for (const std::uint64_t dimension : shape) {
    if (dimension == 0 || dimension > std::numeric_limits<std::uint32_t>::max()) return {};
    if (count > limit / dimension) return std::nullopt;
    count *= dimension;
  }
  return count;
}

std::vector<std::uint32_t> narrow_shape(const std::vector<std::uint64_t>& shape) {
  std::vector<std::uint32_t> out;
  out.reserve(shape.size());
  for (const std::uint64_t dimension : shape) out.push_back(static_cast<std::uint32_t>(dimension));
  return out;
}

}  // namespace skein
