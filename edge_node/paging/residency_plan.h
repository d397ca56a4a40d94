// ResidencyPlan: what of a model stays in memory under a budget, what streams through a few buffers
// in the order of use, and what is cached row by row. Pure; any thread.
//
// A budget is a promise about the whole process: what it holds already, and everything that a
// running model adds. Every token uses all of every matrix but the neuron-major ones, so those
// are worth keeping in a fixed part, and the rest of them is read in a fixed cycle: keeping what
// was used last would always drop what is needed next. Of neuron-major matrices only the rows
// behind active neurons are read; what memory is left keeps the often active ones.
//
// Pages of an artifact whose file is coded, and of another where memory is short and storage slow,
// may stay in memory coded, and be decoded when they are used: METHODS 2.3, by the rates that the
// request names. Rows cannot be read out of coded pages, so there every matrix is read whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/artifact/manifest.h"

namespace skein {

// What a device does, bytes a second: measured by whoever asks for a plan, or these.
struct PagingRates {
  double storage = 1e9;
  double coder = 8e8;    // decoded, of one thread
  double memory = 2e10;  // of weights that are multiplied
};

struct ResidencyRequest {
  std::uint64_t budget = 0;     // bytes, of the process
  std::uint64_t baseline = 0;   // bytes that it holds without the model
  std::uint64_t peak = 0;       // bytes that it has held: no budget below them is kept
  std::uint64_t extra = 0;      // bytes that the caller will add: texts, ...
  std::uint64_t row_bytes = 0;  // likewise, for each row of a pass: logits of every token
  std::uint32_t sessions = 1;   // states at once, each with a copy while a pass runs
  // Of each session, a token of the vocabulary: a logit, and what the dearest sampler takes.
  std::uint32_t answer_bytes = 28;
  std::uint32_t alignment = 1;  // of reads (BlockReads::alignment)
  std::uint32_t threads = 1;    // that decode, at most
  // Of the passes whose logits are asked for, those that ask for the largest alone (Feed::most), as
  // far as one can tell: what a head's screen is for.
  double largest_share = 0.5;
  PagingRates rates{};
  bool coded = false;                   // the file's pages are ...
  std::vector<std::uint32_t> stored{};  // ... and so large; empty: as in memory
  // Of a plain file: coded bytes of a byte, as far as one can tell; 0: no page is kept coded.
  double coded_share = 0;
};

// How a tensor is held.
enum class Residence : unsigned char {
  kCopied,    // a vector, or what shares pages with vectors: made floats or kept with its page
  kPinned,    // whole pages, for good
  kStreamed,  // its first segments are pinned, the next kept coded, the others read in each pass
  kRows,      // neuron-major, row by row
  kLookup,    // the embedding: a row at a time
};
std::string_view name_of(Residence residence);

struct TensorResidence {
  Residence kind = Residence::kCopied;
  std::uint32_t pinned_segments = 0;  // kStreamed
  std::uint32_t coded_segments = 0;   // likewise
  bool in_turn = false;  // those that are read lie between the coded ones, not behind them
  // Of `count` segments.
  bool is_coded(std::size_t segment, std::size_t count) const {
    if (segment < pinned_segments) return false;
    const std::size_t at = segment - pinned_segments, all = count - pinned_segments;
    const std::size_t read = all - coded_segments;
    if (!in_turn) return at < coded_segments;
    return (at + 1) * read / all == at * read / all;
  }
};

// A line of the account.
struct MemoryShare {
  std::string what;
  std::uint64_t bytes = 0;
};

struct ResidencyPlan {
  std::vector<TensorResidence> tensors;  // as Manifest::tensors
  std::vector<MemoryShare> shares;       // of the budget; what they leave is not used
  std::uint32_t stream_slots = 0;        // buffers that streamed pages go through
  std::uint32_t slot_bytes = 0;
  std::uint64_t staging_bytes = 0;  // where rows arrive
  std::uint64_t ahead_bytes = 0;    // where rows arrive that may be wanted; 0: none are guessed
  bool holds_screen = false;        // the head's, in memory
  std::uint64_t tile_bytes = 0;     // where tiles of a head arrive that a screen leaves
  std::uint32_t kept_rows = 0;      // places for rows
  std::uint32_t kept_row_bytes = 0;
  std::uint32_t most_rows = 0;       // of a pass
  bool reads_coded = false;          // pages are, in the file
  std::uint32_t coders = 0;          // threads that decode
  std::uint32_t decode_buffers = 0;  // what they decode to
  std::uint32_t decode_buffer_bytes = 0;
  std::uint64_t opening_bytes = 0;  // what is decoded goes through so much, at opening
  std::uint64_t coded_bytes = 0;    // of memory, for pages that are kept coded
  // Bytes read for a token, value rows apart; of a head with a screen what is to be expected.
  std::uint64_t streamed_per_token = 0;
  std::uint64_t decoded_per_token = 0;  // bytes of pages that are decoded
  double storage_s = 0, compute_s = 0;  // of a token, by the request's rates
  std::uint64_t pinned_bytes = 0;
  std::uint64_t paged_bytes = 0;  // of matrices that are not whole in memory
  std::uint64_t value_bytes = 0;  // of those, by rows
  std::uint64_t left_behind = 0;  // of the shares, what a model keeps whose pager is closed
  std::uint64_t total() const;    // of the shares
  bool pages_anything() const { return paged_bytes != 0 || coded_bytes != 0; }
};

// The least memory that will do. Errc::kUnsupported for a model that cannot be paged.
Result<std::uint64_t> smallest_budget(const Manifest& manifest, const ResidencyRequest& request);
// Errc::kOutOfRoom, naming the smallest that works.
Result<ResidencyPlan> plan_residency(const Manifest& manifest, const ResidencyRequest& request);

// What a parsed vocabulary takes, of ResidencyPlan::left_behind.
std::uint64_t vocabulary_bytes(const Manifest& manifest);

// The tensors (by index) that a pass multiplies with, in the order in which it does; the
// neuron-major ones are among them.
std::vector<std::uint32_t> order_of_use(const Manifest& manifest);

}  // namespace skein
