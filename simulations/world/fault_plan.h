// FaultPlan: what the world does to those who live in it, and until when. Value; any thread.
// The default is a kind world: a little delay and nothing lost.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/env/task.h"

namespace skein {

// One direction of a link. Streams are like TCP: a lost segment comes later, and one that is lost
// too often breaks the stream.
struct LinkProfile {
  Duration latency = std::chrono::milliseconds(5);
  double jitter = 0.2;  // share of the latency
  double bytes_per_second = 10e6;
  double loss = 0;  // probability that a segment must be sent again
};

struct FaultPlan {
  // Random faults happen before this instant; afterwards everybody must make progress.
  Instant calm_from = Instant::max();

  LinkProfile link{};          // of every pair without a profile of its own
  double stream_reset = 0;     // per segment sent
  double short_read = 0;       // a read gives fewer bytes than are there
  double cuts_per_minute = 0;  // of a random pair of nodes, one way or both, healed by itself
  Duration longest_cut = std::chrono::seconds(30);
  // A stream over a silent link breaks at both ends after this (keep-alive of the system).
  Duration patience = std::chrono::seconds(15);

  Duration disk_latency = std::chrono::microseconds(100);
  double disk_bytes_per_second = 200e6;
  double read_error = 0;   // per read
  double write_error = 0;  // per write or sync
  double bit_rot = 0;      // per read: one bit of what is read flips for good
  // Of block reads (Disk::open_blocks), besides read_error; the file itself stays as it is.
  double slow_block = 0;     // takes up to a hundred times the latency longer
  double stalled_block = 0;  // takes up to longest_stall longer
  Duration longest_stall = std::chrono::seconds(5);
  double lying_block = 0;   // one bit of what is read is wrong
  double short_block = 0;   // comes back as if the file ended there
  double kept_write = 0.3;  // a crash keeps an unsynced write whole ...
  double torn_write = 0.2;  // ... or only its beginning; otherwise it is lost
  std::uint64_t disk_bytes = std::numeric_limits<std::uint64_t>::max();

  // Spells in which a node has little memory, gets hot, or has a nearly empty battery.
  double squeezes_per_minute = 0;
  Duration longest_squeeze = std::chrono::seconds(60);

  double compute_jitter = 0.1;  // share of a job's cost
  double rare_sites = 0;        // share of the sometimes() sites that are awake in this run ...
  double rare_fires = 0.1;      // ... and how often an awake one says yes
};

// Sets one number by its name ("loss", "latency_ms", "calm_from_s", "disk_bytes", ...); kUsage
// lists the names. For scenario files.
Result<void> set_fault(FaultPlan& plan, std::string_view name, double value);
std::vector<std::string_view> fault_names();

}  // namespace skein
