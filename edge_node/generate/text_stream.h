// TextStream: tokens' bytes in, text that may be shown out: never half a UTF-8 character, never a
// part of a stop string. Pure; its owner's, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skein {

inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 256;

class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stops);  // empty ones are ignored

  // What has become certain. Bytes that are no UTF-8 come out as U+FFFD. Nothing after a stop.
  std::string add(std::string_view bytes);
  bool stopped() const { return stopped_; }  // a stop string was met; it is not part of the text
  // Nothing is held back: all bytes so far have come out.
  bool is_certain() const { return pending_.empty(); }
  // Bytes from the stop string's first on: so many of those added last are not part of the text.
  std::size_t cut() const { return cut_; }
  std::string finish();  // what was held back, when no more tokens come

 private:
  std::size_t held_for_stops() const;

  std::vector<std::string> stops_;
  std::string pending_;
  std::size_t cut_ = 0;
  bool stopped_ = false;
};

// Moves the whole characters at the front of `bytes` out as valid UTF-8; an unfinished character at
// the end stays, unless `all`. At most `limit` bytes are looked at.
std::string take_text(std::string& bytes, std::size_t limit, bool all);

}  // namespace skein
