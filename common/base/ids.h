// Strong<Tag, Rep>: an id or index that cannot be mistaken for another. Values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <span>

namespace skein {

template <class Tag, class Rep>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;

 private:
  Rep value_{};
};

using LayerIndex = Strong<struct LayerIndexTag, std::uint32_t>;
using PageIndex = Strong<struct PageIndexTag, std::uint32_t>;
using Step = Strong<struct StepTag, std::uint64_t>;          // tokens a session's state has seen
using DeviceId = Strong<struct DeviceIdTag, std::uint64_t>;  // given at enrolment, never reused
using RolloutId = Strong<struct RolloutIdTag, std::uint64_t>;
using RoundId = Strong<struct RoundIdTag, std::uint64_t>;
using SessionId = Strong<struct SessionIdTag, std::uint64_t>;  // split session, chosen by the edge
using TokenId = std::uint32_t;  // plain: used in arithmetic everywhere

// A set of tokens: id is in it when bit id % 64 of word id / 64 is set; none beyond the last word.
using TokenMask = std::span<const std::uint64_t>;
inline bool holds(TokenMask mask, TokenId id) {
  return id / 64 < mask.size() && (mask[id / 64] >> (id % 64) & 1U) != 0;
}

}  // namespace skein

template <class Tag, class Rep>
struct std::hash<skein::Strong<Tag, Rep>> {
  std::size_t operator()(const skein::Strong<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
