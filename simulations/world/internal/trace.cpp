#include "simulations/world/internal/trace.h"

#include <cstdio>

namespace skein::sim {

std::uint64_t hash_of(ByteView bytes, std::uint64_t start) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t hash = start;
  // Eight bytes a step: deliveries carry whole artifacts.
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    hash = (hash ^ load_le<std::uint64_t>(bytes, 0)) * kPrime;
    hash ^= hash >> 32;
  }
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * kPrime;
  return hash;
}

void Trace::add(Instant at, std::string_view node, std::string_view kind,
                std::string_view details) {
  const std::uint64_t head[4] = {static_cast<std::uint64_t>(at.time_since_epoch().count()),
                                 node.size(), kind.size(), details.size()};
  hash_ = hash_of(std::as_bytes(std::span(head)), hash_);
  hash_ = hash_of(as_bytes(node), hash_);
  hash_ = hash_of(as_bytes(kind), hash_);
  hash_ = hash_of(as_bytes(details), hash_);
  if (recent_.size() == kMaxRecent) recent_.pop_front();
  recent_.push_back({at, std::string(node), std::string(kind), std::string(details)});
}

std::string Trace::hash() const {
  Buffer bytes;
  append_le(bytes, std::byteswap(hash_));
  return to_hex(bytes);
}

std::vector<std::string> Trace::recent() const {
  std::vector<std::string> lines;
  for (const Line& line : recent_) {
    char time[32];
    std::snprintf(time, sizeof time, "%.6f",
                  std::chrono::duration<double>(line.at.time_since_epoch()).count());
    lines.push_back(std::string(time) + " " + line.node + " " + line.kind + " " + line.details);
  }
  return lines;
}

}  // namespace skein::sim
