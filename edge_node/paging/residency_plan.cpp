#include "edge_node/paging/residency_plan.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/model/model.h"
#include "common/model/weights.h"
#include "edge_node/paging/internal/memory_account.h"
#include "kernels/ops/neurons.h"

namespace skein {

using paging::MemoryAccount;

namespace {

// In the order in which a layer multiplies with them; a name that a version lacks is passed over.
constexpr std::string_view kRwkv6[] = {
    "att.time_maa_w1",       "att.key.weight",    "att.value.weight",  "att.receptance.weight",
    "att.gate.weight",       "att.time_decay_w1", "att.time_decay_w2", "att.output.weight",
    "ffn.receptance.weight", "ffn.key.weight",    "ffn.value.weight"};
constexpr std::string_view kOthers[] = {"att.receptance.weight",
                                        "att.key.weight",
                                        "att.value.weight",
                                        "att.gate.weight",
                                        "att.w1",
                                        "att.a1",
                                        "att.v1",
                                        "att.g1",
                                        "att.w2",
                                        "att.a2",
                                        "att.v2",
                                        "att.g2",
                                        "att.output.weight",
                                        "ffn.receptance.weight",
                                        "ffn.key.weight",
                                        "ffn.value.weight"};

// What is pinned first, last what is streamed first: reads of one big matrix a layer are spread
// over the whole pass, so that they and computing overlap with few buffers.
enum Rank : unsigned char { kSmall, kTimeMix, kHead, kChannelMix, kRanks };

Rank rank_of(std::string_view name) {
  if (name == "head.weight") return kHead;
  if (name.ends_with("ffn.key.weight") || name.ends_with("ffn.value.weight")) return kChannelMix;
  return name.ends_with(".weight") ? kTimeMix : kSmall;
}

std::uint64_t bytes_of(const TensorEntry& tensor, std::uint32_t rows) {
  return stored_bytes(tensor.format, tensor.layout, rows, tensor.cols);
}

// What a plan decides about: a matrix in tiles with pages of its own, or a neuron-major one.
struct Candidate {
  std::uint32_t tensor = 0;
  Rank rank = kSmall;
  std::uint64_t bytes = 0;
};

class Planner {
 public:
  Planner(const Manifest& manifest, const ResidencyRequest& request)
      : manifest_(manifest), request_(request), account_(manifest, request) {
    plan_.tensors.resize(manifest.tensors.size());
    find_candidates();
  }

  Result<std::uint64_t> smallest() {
    TRY_VOID(check_values());
    const std::uint64_t paged = account_.paging_overhead(values_) + least_buffers();
    const std::uint64_t whole = dense_bytes_ + value_bytes_ + account_.pinned_slack(dense_) +
                                account_.pinned_slack(values_);
    // The reserve is a share of the budget.
    const std::uint64_t least = account_.least() + std::min(paged, whole);
    return least + least / 128;
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
    if (!pin_everything()) share_out(request_.budget);
    finish();
    return std::move(plan_);
  }

 private:
  static constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  static constexpr std::uint32_t kMostSlots = 64;
  static constexpr std::uint32_t kLeastSlots = 4;
  static constexpr std::uint64_t kMostStaging = std::uint64_t{8} << 20;

  void find_candidates();
  Result<void> check_values() const;
  std::uint64_t least_buffers() const {
    return (dense_.empty() ? 0 : kLeastSlots * slot_bytes_) +
           (values_.empty() ? 0 : least_staging_);
  }
  bool pin_everything();
  void share_out(std::uint64_t budget);
  void pin(std::uint64_t memory);
  void stream_some(const std::vector<Candidate>& all, std::uint64_t pinned);
  void finish();

  const Manifest& manifest_;
  const ResidencyRequest& request_;
  MemoryAccount account_;
  ResidencyPlan plan_;
  std::vector<Candidate> dense_, values_;
  std::uint64_t dense_bytes_ = 0;
  std::uint64_t value_bytes_ = 0;
  std::uint64_t slot_bytes_ = 0;
  std::uint64_t least_staging_ = 0;  // two whole blocks of neurons, however they lie
  std::uint32_t row_bytes_ = 0;      // of the widest neuron-major row
  std::uint64_t slack_ = 0;          // of the pinned pages
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
    const Candidate candidate = {index, rank_of(tensor.name), bytes_of(tensor, tensor.rows)};
    if (tensor.layout == Layout::kRows) {
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
        slot_bytes_ = std::max<std::uint64_t>(
            slot_bytes_, MemoryAccount::aligned(manifest_.pages[segment.page].bytes) + slack);
      }
    } else {
      plan_.tensors[index].kind = Residence::kPinned;
      account_.pin_page_of(tensor);
    }
  }
  for (std::uint32_t i = 0; i < manifest_.tensors.size(); ++i) {
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
  account_.close_fixed();
}

Result<void> Planner::check_values() const {
  if (slot_bytes_ < ~0U && least_staging_ < ~0U) return {};
  return fail(Errc::kUnsupported, "its rows are too long to be paged", "model", "");
}

// No buffers at all.
bool Planner::pin_everything() {
  const std::uint64_t all = dense_bytes_ + value_bytes_;
  const std::uint64_t slack = account_.pinned_slack(dense_) + account_.pinned_slack(values_);
  if (account_.fixed() + all + slack > request_.budget) return false;
  for (const auto* list : {&dense_, &values_}) {
    for (const Candidate& candidate : *list) {
      plan_.tensors[candidate.tensor].kind = Residence::kPinned;
    }
  }
  plan_.pinned_bytes = all + slack;
  return true;
}

void Planner::share_out(std::uint64_t budget) {
  std::uint64_t left = budget - account_.fixed() - account_.paging_overhead(values_);
  const std::uint64_t dense_slack = account_.pinned_slack(dense_);
  plan_.staging_bytes = 0;
  if (!values_.empty()) {
    const std::uint64_t wanted = std::min(kMostStaging, value_bytes_ / 2);
    plan_.staging_bytes = std::max(least_staging_, std::min(wanted, left / 16));
    plan_.staging_bytes = MemoryAccount::aligned(plan_.staging_bytes);
    left -= std::min(left, plan_.staging_bytes);
    if (plan_.staging_bytes / 2 >= least_staging_) {
      plan_.ahead_bytes = MemoryAccount::aligned(plan_.staging_bytes / 2);
      plan_.staging_bytes -= plan_.ahead_bytes;
    }
  }
  if (dense_bytes_ + dense_slack <= left) {
    pin(dense_bytes_);
    slack_ = dense_slack;
    left -= dense_bytes_ + dense_slack;
  } else {
    const std::uint64_t most = std::min<std::uint64_t>(kMostSlots, left / 8 / slot_bytes_);
    plan_.stream_slots = static_cast<std::uint32_t>(std::max<std::uint64_t>(most, kLeastSlots));
    plan_.slot_bytes = static_cast<std::uint32_t>(slot_bytes_);
    left -= std::min(left, plan_.stream_slots * slot_bytes_);
    slack_ = std::min(left, dense_slack);
    pin(left - slack_);
    left -= std::min(left, plan_.pinned_bytes + slack_);
  }
  for (const Candidate& candidate : values_) {
    plan_.tensors[candidate.tensor].kind = Residence::kRows;
  }
  plan_.value_bytes = value_bytes_;
  if (values_.empty()) return;
  plan_.kept_row_bytes =
      (row_bytes_ + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  std::uint64_t rows = 0;
  for (const Candidate& candidate : values_) rows += manifest_.tensors[candidate.tensor].rows;
  plan_.kept_rows = static_cast<std::uint32_t>(
      std::min(rows, left / (plan_.kept_row_bytes + MemoryAccount::kBytesAPlace)));
}

// Ranks in order, whole ones while they fit; of the first that does not, an even share of each.
void Planner::pin(std::uint64_t memory) {
  for (unsigned rank = 0; rank < kRanks; ++rank) {
    std::vector<Candidate> some;
    std::uint64_t bytes = 0;
    for (const Candidate& candidate : dense_) {
      if (candidate.rank != rank) continue;
      some.push_back(candidate);
      bytes += candidate.bytes;
    }
    const std::uint64_t pinned = std::min(memory, bytes);
    memory -= pinned;
    stream_some(some, pinned);
  }
}

// The first segments of each are pinned, in turn as far as its share of `pinned` goes.
void Planner::stream_some(const std::vector<Candidate>& all, std::uint64_t pinned) {
  std::uint64_t bytes = 0;
  for (const Candidate& candidate : all) bytes += candidate.bytes;
  double owed = 0;  // bytes of the earlier ones' shares that fell to no page
  std::uint64_t spent = 0;
  for (const Candidate& candidate : all) {
    const TensorEntry& tensor = manifest_.tensors[candidate.tensor];
    owed += static_cast<double>(candidate.bytes) * static_cast<double>(pinned) /
            static_cast<double>(bytes);
    std::uint32_t segments = 0;
    for (const Segment& segment : tensor.segments) {
      const std::uint64_t size = manifest_.pages[segment.page].bytes;
      if (static_cast<double>(size) > owed + 0.5 || spent + size > pinned) break;
      owed -= static_cast<double>(size);
      spent += size;
      ++segments;
    }
    const bool whole = segments == tensor.segments.size();
    plan_.tensors[candidate.tensor] = {whole ? Residence::kPinned : Residence::kStreamed, segments};
    for (std::size_t i = segments; i < tensor.segments.size(); ++i) {
      plan_.streamed_per_token += manifest_.pages[tensor.segments[i].page].bytes;
    }
  }
  plan_.pinned_bytes += spent;
}

void Planner::finish() {
  plan_.most_rows = account_.most_rows();
  plan_.paged_bytes = plan_.streamed_per_token + plan_.value_bytes;
  plan_.shares = account_.fixed_shares();
  plan_.left_behind = account_.left_behind();
  const auto add = [&](std::string what, std::uint64_t bytes) {
    if (bytes != 0) plan_.shares.push_back({std::move(what), bytes});
  };
  add("pinned pages", plan_.pinned_bytes);
  if (!plan_.pages_anything()) return;
  add("ends of pinned pages", slack_);
  add("stream buffers", std::uint64_t{plan_.stream_slots} * plan_.slot_bytes);
  add("arriving rows", plan_.staging_bytes + plan_.ahead_bytes);
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

std::vector<std::uint32_t> order_of_use(const Manifest& manifest) {
  std::vector<std::uint32_t> order;
  const auto add = [&](const std::string& name) {
    const auto& tensors = manifest.tensors;
    const auto found = std::ranges::find(tensors, name, &TensorEntry::name);
    if (found == tensors.end()) return;
    order.push_back(static_cast<std::uint32_t>(found - tensors.begin()));
  };
  const bool six = manifest.config.architecture == Architecture::kRwkv6;
  const std::span<const std::string_view> names =
      six ? std::span<const std::string_view>(kRwkv6) : std::span<const std::string_view>(kOthers);
  for (std::uint32_t layer = 0; layer < manifest.config.layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    for (const std::string_view name : names) add(block + std::string(name));
  }
  add("head.weight");
  return order;
}

Result<std::uint64_t> smallest_budget(const Manifest& manifest, const ResidencyRequest& request) {
  return Planner(manifest, request).smallest();
}

Result<ResidencyPlan> plan_residency(const Manifest& manifest, const ResidencyRequest& request) {
  return Planner(manifest, request).make();
}

}  // namespace skein
