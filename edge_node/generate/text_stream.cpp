#include "edge_node/generate/text_stream.h"

#include <algorithm>

#include "common/base/utf8.h"

namespace skein {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::string take_text(std::string& bytes, std::size_t limit, bool all) {
  std::string text;
  std::size_t done = 0;
  while (done < std::min(limit, bytes.size())) {
    const Utf8Character next = first_character(std::string_view(bytes).substr(done));
    if (next.unfinished && !all) break;
    if (next.valid && done + next.length > limit) break;
    text += next.valid ? std::string_view(bytes).substr(done, next.length) : kReplacement;
    done += next.length;
  }
  bytes.erase(0, done);
  return text;
}

TextStream::TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string TextStream::add(std::string_view bytes) {
  if (stopped_) return {};
  pending_ += bytes;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    cut_ = pending_.size() - first;
    pending_.resize(first);
    return take_text(pending_, pending_.size(), true);
  }
  return take_text(pending_, pending_.size() - held_for_stops(), false);
}

std::string TextStream::finish() { return take_text(pending_, pending_.size(), true); }

// The longest end of what is pending that a stop string could begin with.
std::size_t TextStream::held_for_stops() const {
  const std::string_view pending = pending_;
  std::size_t held = 0;
  for (const std::string_view stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, pending.size()); n > held; --n) {
      if (pending.ends_with(stop.substr(0, n))) held = n;
    }
  }
  return held;
}

}  // namespace skein
