#include "edge_node/paging/residency_plan.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "common/base/check.h"
#include "common/model/model.h"
#include "common/model/weights.h"
#include "edge_node/paging/internal/memory_account.h"
#include "edge_node/paging/internal/page_order.h"
#include "edge_node/paging/internal/screened_head.h"
#include "edge_node/paging/internal/stored_pages.h"
#include "edge_node/paging/internal/tier_choice.h"
#include "kernels/ops/neurons.h"

namespace skein {

using paging::Candidate;
using paging::MemoryAccount;

namespace {

std::uint64_t bytes_of(const TensorEntry& tensor, std::uint32_t rows) {
  return stored_bytes(tensor.format, tensor.layout, rows, tensor.cols);
}

class Planner {
 public:
  Planner(const Manifest& manifest, const ResidencyRequest& request, bool holds_screen)
      : manifest_(manifest),
        request_(request),
        holds_screen_(holds_screen),
        account_(manifest, request),
        head_(manifest, request) {
    plan_.tensors.resize(manifest.tensors.size());
    find_candidates();
    for (const auto& [place, page] : paging::order_pages(manifest_, request_, dense_, head_)) {
      places_.push_back(place);
      pages_.push_back(page);
    }
  }

  Result<std::uint64_t> smallest() {
    TRY_VOID(check_values());
    const std::uint64_t paged = account_.paging_overhead(values_) + least_buffers();
    const std::uint64_t whole = bytes_in_all() + opening();
    // The reserve is a share of the budget.
    const std::uint64_t least = account_.least() + std::min(paged, whole);
    return std::max(least + least / 128, request_.peak);
  }

  Result<ResidencyPlan> make() {
    TRY(const std::uint64_t least, smallest());
    if (request_.budget < least) {
      return fail(Errc::kOutOfRoom,
                  "the model does not run in " + std::to_string(request_.budget) + " bytes",
                  "--memory-budget",
                  "give at least " + std::to_string(least / kMib + 2) +
                      "M");  // the next process may hold a little more
    }
    account_.widen(request_.budget - least);
    if (!pin_everything()) share_out(request_.budget);
    finish();
    return std::move(plan_);
  }

 private:
  static constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  static constexpr std::uint32_t kMostSlots = 64;
  static constexpr std::uint32_t kLeastSlots = 4;
  static constexpr std::uint32_t kMostDecoded = 64;  // pages at once
  static constexpr std::uint64_t kMostStaging = std::uint64_t{8} << 20;
  static constexpr double kRowsRead = 0.4;  // of neuron-major matrices: a fifth fires, with gaps
  static constexpr std::uint64_t kOpening = std::uint64_t{1} << 20;

  // Buffers, and what is kept where there are such.
  struct Option {
    bool streams = false;  // some pages
    bool decodes = false;  // likewise
    ResidencyPlan buffers{};
    std::uint64_t taken = 0;  // by these
    std::uint64_t slack = 0;  // ends of pinned pages
    paging::TierChoice choice{};
  };

  void find_candidates();
  void find_block(const TensorEntry& tensor);
  Result<void> check_values() const;
  std::uint32_t stored_bytes_of(std::uint32_t page) const {
    return paging::stored_bytes_of(manifest_, request_, page);
  }
  bool is_read_by_rows(const TensorEntry& tensor) const;
  // Of a head that a screen leaves few tiles of.
  std::uint64_t tiles() const {
    return holds_screen_ ? head_.buffer_bytes() + head_.table_bytes() : 0;
  }
  std::uint64_t bytes_in_all() const;
  std::uint64_t opening() const;
  std::uint64_t least_buffers() const;
  bool pin_everything();
  void share_out(std::uint64_t budget);
  std::uint64_t set_buffers(Option& option, std::uint64_t surplus) const;
  bool choose(Option& option, std::uint64_t left) const;
  std::uint64_t keep_pages(std::uint64_t left);
  void keep_rows(std::uint64_t left);
  void finish();

  const Manifest& manifest_;
  const ResidencyRequest& request_;
  const bool holds_screen_;
  MemoryAccount account_;
  paging::ScreenedHead head_;
  ResidencyPlan plan_;
  std::vector<Candidate> dense_, values_;
  std::vector<paging::PagePlace> places_;  // the pages of dense_, best first ...
  std::vector<paging::TierPage> pages_;    // ... and their sizes
  std::uint64_t dense_bytes_ = 0;
  std::uint64_t value_bytes_ = 0;
  std::uint64_t slot_bytes_ = 0;
  std::uint64_t decoded_bytes_ = 0;            // of the largest page
  std::uint32_t least_decoded_ = kLeastSlots;  // pages at once: a block of neurons
  std::uint64_t least_staging_ = 0;            // two whole blocks of neurons, however they lie
  std::uint32_t row_bytes_ = 0;                // of the widest neuron-major row
  std::uint64_t slack_ = 0;                    // of the pinned pages
};

// Whose pages hold nothing else.
std::vector<bool> tensors_with_own_pages(const Manifest& manifest) {
  std::vector<std::uint32_t> uses(manifest.pages.size());
  for (const TensorEntry& tensor : manifest.tensors) {
    for (const Segment& segment : tensor.segments) ++uses[segment.page];
  }
  std::vector<bool> own;
  for (const TensorEntry& tensor : manifest.tensors) {
    own.push_back(std::ranges::all_of(tensor.segments, [&](const Segment& segment) {
      return uses[segment.page] == 1 && segment.offset == 0;
    }));
  }
  return own;
}

void Planner::find_candidates() {
  const std::vector<bool> own = tensors_with_own_pages(manifest_);
  const std::uint64_t slack = 2ULL * request_.alignment;
  for (const std::uint32_t index : order_of_use(manifest_)) {
    const TensorEntry& tensor = manifest_.tensors[index];
    const Candidate candidate = {index, paging::rank_of(tensor.name, holds_screen_),
                                 bytes_of(tensor, tensor.rows)};
    if (is_read_by_rows(tensor)) {
      values_.push_back(candidate);
      value_bytes_ += candidate.bytes;
      const auto row = static_cast<std::uint32_t>(bytes_of(tensor, 1));
      row_bytes_ = std::max(row_bytes_, row);
      // A block's rows, the ends of its reads, and what lies between pages.
      const std::uint64_t block = std::uint64_t{kNeuronBlock} * row + slack;
      const std::uint64_t pages = block / kTargetPageBytes + 2;
      const std::uint64_t half =
          block + pages * (slack + kSegmentAlignment) + MemoryAccount::kMemoryPage;
      least_staging_ = std::max(least_staging_, MemoryAccount::aligned(2 * half));
    } else if (own[index]) {
      dense_.push_back(candidate);
      dense_bytes_ += candidate.bytes;
      for (const Segment& segment : tensor.segments) {
        const std::uint64_t bytes = MemoryAccount::aligned(manifest_.pages[segment.page].bytes);
        decoded_bytes_ = std::max(decoded_bytes_, bytes);
        slot_bytes_ =
            std::max(slot_bytes_, MemoryAccount::aligned(stored_bytes_of(segment.page)) + slack);
      }
      if (tensor.layout == Layout::kRows) find_block(tensor);
    } else {
      plan_.tensors[index].kind = Residence::kPinned;
      account_.pin_page_of(tensor);
    }
  }
  if (holds_screen_) account_.hold_screen();
  for (std::uint32_t i = 0; i < manifest_.tensors.size(); ++i) {
    const bool sketch = manifest_.tensors[i].name == std::string(kHeadScreen) + "sketch";
    if (holds_screen_ && sketch) plan_.tensors[i].kind = Residence::kPinned;
    if (manifest_.tensors[i].name == "emb.weight") plan_.tensors[i].kind = Residence::kLookup;
    // The small matrices that are neither: looked at like pinned ones.
    const bool matrix = manifest_.tensors[i].rows > 1 && !is_derived(manifest_.tensors[i].name);
    if (plan_.tensors[i].kind != Residence::kCopied || !matrix) continue;
    const bool known = std::ranges::any_of(dense_, [&](const auto& c) { return c.tensor == i; }) ||
                       std::ranges::any_of(values_, [&](const auto& c) { return c.tensor == i; });
    if (known) continue;
    plan_.tensors[i].kind = Residence::kPinned;
    account_.pin_page_of(manifest_.tensors[i]);
  }
}

// How many pages a block of neurons may touch.
void Planner::find_block(const TensorEntry& tensor) {
  std::uint32_t fewest = kNeuronBlock;
  for (std::size_t i = 0; i + 1 < tensor.segments.size(); ++i) {
    fewest = std::min(fewest, tensor.segments[i].rows);
  }
  least_decoded_ = std::max(least_decoded_, (kNeuronBlock + fewest - 2) / fewest + 1);
}

Result<void> Planner::check_values() const {
  if (slot_bytes_ < ~0U && least_staging_ < ~0U) return {};
  return fail(Errc::kUnsupported, "its rows are too long to be paged", "model", "");
}

// Out of coded pages none can be.
bool Planner::is_read_by_rows(const TensorEntry& tensor) const {
  return tensor.layout == Layout::kRows &&
         std::ranges::all_of(tensor.segments, [&](const Segment& segment) {
           return paging::is_plain(manifest_, request_, segment.page);
         });
}

std::uint64_t Planner::bytes_in_all() const {
  std::uint64_t bytes = value_bytes_ + account_.pinned_slack(values_);
  for (const paging::TierPage& page : pages_) bytes += page.decoded;
  return bytes + (request_.coded ? 0 : account_.pinned_slack(dense_));
}

// What it takes to decode pages that stay.
std::uint64_t Planner::opening() const {
  return request_.coded ? kOpening + account_.coder_bytes() : 0;
}

std::uint64_t Planner::least_buffers() const {
  Option option{.streams = true, .decodes = request_.coded};
  const std::uint64_t streamed = dense_.empty() ? 0 : set_buffers(option, 0);
  return streamed + (values_.empty() ? 0 : least_staging_) + tiles();
}

// No buffers at all.
bool Planner::pin_everything() {
  if (account_.fixed() + bytes_in_all() + opening() > request_.budget) return false;
  for (const auto* list : {&dense_, &values_}) {
    for (const Candidate& candidate : *list) {
      plan_.tensors[candidate.tensor].kind = Residence::kPinned;
    }
  }
  plan_.pinned_bytes = bytes_in_all();
  if (request_.coded) {
    const std::uint64_t left = request_.budget - account_.fixed() - bytes_in_all() - opening();
    const std::uint64_t coders = 1 + left / account_.coder_bytes();
    plan_.coders = std::min(std::max(1U, request_.threads), static_cast<std::uint32_t>(coders));
  }
  plan_.opening_bytes = request_.coded ? kOpening : 0;
  return true;
}

// The least that will do, and a share of what there is beyond, so that pages never lose memory to
// buffers when there is more. What the option's buffers take.
std::uint64_t Planner::set_buffers(Option& option, std::uint64_t surplus) const {
  ResidencyPlan& plan = option.buffers;
  std::uint64_t taken = 0;
  const auto take = [&](std::uint64_t share, std::uint64_t one, std::uint64_t least,
                        std::uint64_t most) {
    const std::uint64_t bytes = least * one + std::min(share, (most - least) * one);
    taken += bytes;
    return static_cast<std::uint32_t>(bytes / one);
  };
  if (option.streams) {
    const std::uint32_t least = std::max(kLeastSlots, option.decodes ? least_decoded_ : 0);
    plan.stream_slots = take(surplus / 32, slot_bytes_, least, kMostSlots);
    plan.slot_bytes = static_cast<std::uint32_t>(slot_bytes_);
  }
  if (option.decodes) {
    plan.coders = take(surplus / 6, account_.coder_bytes(), 1, std::max(1U, request_.threads));
    plan.decode_buffers =
        take(surplus / 32, decoded_bytes_, least_decoded_, std::max(kMostDecoded, least_decoded_));
    plan.decode_buffer_bytes = static_cast<std::uint32_t>(decoded_bytes_);
  }
  if (request_.coded && !option.streams) {
    plan.opening_bytes = kOpening;
    taken += plan.opening_bytes;
  } else if (option.decodes) {  // the stream's buffers are not in use then
    plan.opening_bytes =
        std::min<std::uint64_t>(4 * kOpening, std::uint64_t{plan.stream_slots} * plan.slot_bytes);
  }
  return taken;
}

// What is kept with such buffers; false where they do not go with the model.
bool Planner::choose(Option& option, std::uint64_t left) const {
  const std::uint64_t least = set_buffers(option, 0);
  if (least > left) return false;
  option.taken = set_buffers(option, left - least);
  const std::uint64_t room = left - option.taken;
  option.slack = request_.coded ? 0 : std::min(room, account_.pinned_slack(dense_));
  const paging::TierRates rates = {
      .storage = request_.rates.storage,
      .rows_s =
          kRowsRead * static_cast<double>(value_bytes_) / std::max(request_.rates.storage, 1.0),
      .coders = request_.rates.coder * std::max(1U, option.buffers.coders),
      .compute_s =
          static_cast<double>(dense_bytes_ + value_bytes_) / std::max(request_.rates.memory, 1.0),
      .reads_are_coded = request_.coded};
  std::vector<paging::TierPage> pages = pages_;
  for (paging::TierPage& page : pages) {
    if (!option.decodes) {
      page.coded = page.decoded;
    } else if (!request_.coded) {
      const double coded = request_.coded_share * static_cast<double>(page.decoded);
      page.coded = std::min(page.decoded, static_cast<std::uint32_t>(coded) + kSegmentAlignment);
    }
  }
  const auto all = static_cast<std::uint32_t>(pages.size());
  const auto choice =
      paging::choose_tiers(pages, room - option.slack, rates, option.streams ? 0 : all);
  if (choice) option.choice = *choice;
  return choice.has_value();
}

// The fastest option. What is left afterwards.
std::uint64_t Planner::keep_pages(std::uint64_t left) {
  std::vector<Option> options = {{.streams = false}, {.streams = true, .decodes = request_.coded}};
  if (request_.coded) options.push_back({.decodes = true});
  // Without buffers for a stream a guess of how large pages will be cannot be corrected.
  if (!request_.coded && request_.coded_share > 0)
    options.push_back({.streams = true, .decodes = true});
  const Option* best = nullptr;
  for (Option& option : options) {
    if (!choose(option, left)) continue;
    if (best == nullptr || option.choice.token_s() < best->choice.token_s()) best = &option;
  }
  CHECK(best != nullptr);
  std::vector<TensorResidence> tensors = std::move(plan_.tensors);
  plan_ = best->buffers;
  plan_.tensors = std::move(tensors);
  plan_.storage_s = best->choice.storage_s;
  plan_.compute_s = best->choice.compute_s;
  for (const Candidate& candidate : dense_) {
    plan_.tensors[candidate.tensor].kind = Residence::kStreamed;
  }
  for (std::uint32_t i = 0; i < pages_.size(); ++i) {
    TensorResidence& tensor = plan_.tensors[places_[i].tensor];
    const bool is_read = i >= best->choice.held;
    const bool is_pinned = i < best->choice.pinned;
    if (is_pinned) ++tensor.pinned_segments;
    if (is_pinned) plan_.pinned_bytes += pages_[i].decoded;
    if (!is_pinned && !is_read) ++tensor.coded_segments;
    if (is_read) plan_.streamed_per_token += pages_[i].stored;
    if (!is_pinned && (!is_read || request_.coded)) {
      const double decoded = places_[i].read * pages_[i].decoded;
      plan_.decoded_per_token += static_cast<std::uint64_t>(decoded);
    }
  }
  plan_.coded_bytes = best->choice.coded_bytes;
  for (const Candidate& candidate : dense_) {
    TensorResidence& tensor = plan_.tensors[candidate.tensor];
    const std::size_t all = manifest_.tensors[candidate.tensor].segments.size();
    if (tensor.pinned_segments == all) tensor.kind = Residence::kPinned;
    // Where buffers do not hold what is read of a matrix, decoding goes on beside the reads.
    const std::size_t read = all - tensor.pinned_segments - tensor.coded_segments;
    tensor.in_turn = candidate.rank == paging::Rank::kHead && read > plan_.stream_slots;
  }
  slack_ = best->slack;
  return left - best->taken - best->slack - best->choice.pinned_bytes - best->choice.coded_bytes;
}

void Planner::share_out(std::uint64_t budget) {
  std::uint64_t left = budget - account_.fixed() - account_.paging_overhead(values_);
  std::uint64_t staging = 0, ahead = 0;
  if (!values_.empty()) {
    const std::uint64_t wanted = std::min(kMostStaging, value_bytes_ / 2);
    staging = MemoryAccount::aligned(std::max(least_staging_, std::min(wanted, left / 32)));
    left -= std::min(left, staging);
    if (staging / 2 >= least_staging_) {
      ahead = MemoryAccount::aligned(staging / 2);
      staging -= ahead;
    }
  }
  left = keep_pages(left - std::min(left, tiles()));
  plan_.tile_bytes = holds_screen_ ? head_.buffer_bytes() : 0;
  plan_.staging_bytes = staging;
  plan_.ahead_bytes = ahead;
  if (!values_.empty()) keep_rows(left);
}

void Planner::keep_rows(std::uint64_t left) {
  for (const Candidate& candidate : values_) {
    plan_.tensors[candidate.tensor].kind = Residence::kRows;
  }
  plan_.value_bytes = value_bytes_;
  plan_.kept_row_bytes =
      (row_bytes_ + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  std::uint64_t rows = 0;
  for (const Candidate& candidate : values_) rows += manifest_.tensors[candidate.tensor].rows;
  plan_.kept_rows = static_cast<std::uint32_t>(
      std::min(rows, left / (plan_.kept_row_bytes + MemoryAccount::kBytesAPlace)));
}

void Planner::finish() {
  plan_.most_rows = account_.most_rows();
  plan_.reads_coded = request_.coded;
  plan_.holds_screen = holds_screen_;
  plan_.paged_bytes = plan_.streamed_per_token + plan_.value_bytes;
  plan_.shares = account_.fixed_shares();
  plan_.left_behind = account_.left_behind();
  const auto add = [&](std::string what, std::uint64_t bytes) {
    if (bytes != 0) plan_.shares.push_back({std::move(what), bytes});
  };
  add("pinned pages", plan_.pinned_bytes);
  add("pages kept coded", plan_.coded_bytes);
  add("decoding", plan_.coders * account_.coder_bytes() +
                      std::uint64_t{plan_.decode_buffers} * plan_.decode_buffer_bytes);
  if (plan_.stream_slots == 0) add("opening", plan_.opening_bytes);
  if (!plan_.pages_anything()) return;
  add("ends of pinned pages", slack_);
  add("stream buffers", std::uint64_t{plan_.stream_slots} * plan_.slot_bytes);
  add("arriving rows", plan_.staging_bytes + plan_.ahead_bytes);
  add("arriving tiles of the head", tiles());
  add("kept rows",
      std::uint64_t{plan_.kept_rows} * (plan_.kept_row_bytes + MemoryAccount::kBytesAPlace));
  add("hashes and places of rows, undo of states", account_.paging_overhead(values_));
}

}  // namespace

std::string_view name_of(Residence residence) {
  constexpr std::string_view kNames[] = {"copied", "pinned", "streamed", "rows", "lookup"};
  return kNames[static_cast<unsigned>(residence)];
}

std::uint64_t ResidencyPlan::total() const {
  std::uint64_t sum = 0;
  for (const MemoryShare& share : shares) sum += share.bytes;
  return sum;
}

Result<std::uint64_t> smallest_budget(const Manifest& manifest, const ResidencyRequest& request) {
  return Planner(manifest, request, false).smallest();
}

// A head's screen is held where it leaves nothing to be read, and else where a token is then
// faster, or as fast with fewer bytes read, by what is to be expected of it. What it takes of the
// memory for pages is counted in that; so a larger budget still means no more reading, and the
// smallest one is that without it.
Result<ResidencyPlan> plan_residency(const Manifest& manifest, const ResidencyRequest& request) {
  TRY(ResidencyPlan plain, Planner(manifest, request, false).make());
  const bool has_screen = paging::ScreenedHead(manifest, request).is_there();
  if (!has_screen || !(request.largest_share > 0)) return plain;
  Planner planner(manifest, request, true);
  TRY(const std::uint64_t least, planner.smallest());
  if (request.budget < least) return plain;
  TRY(ResidencyPlan screened, planner.make());
  const auto cost = [](const ResidencyPlan& p) {
    return std::pair(paging::token_seconds(p.storage_s, p.compute_s), p.streamed_per_token);
  };
  const bool pays = !screened.pages_anything() || cost(screened) < cost(plain);
  return pays ? std::move(screened) : std::move(plain);
}

}  // namespace skein
