#include "edge_node/paging/internal/memory_account.h"

#include <algorithm>

#include "common/model/model.h"
#include "common/model/weights.h"
#include "kernels/ops/neurons.h"

namespace skein::paging {

namespace {

constexpr std::uint32_t kFewRows = 8;  // a pass: prompts take longer, and scratch is small
constexpr std::uint32_t kRowStep = 4;
constexpr std::uint64_t kScratchShare = 24;
// A parsed vocabulary beside the bytes of its file, and its file while it is read.
constexpr std::uint64_t kTokenizerTimes = 6;
constexpr std::uint64_t kLowRank = 512;  // no LoRA's is above it
// Threads' stacks, the allocator's gaps, pages of programs that are touched late.
constexpr std::uint64_t kReserve = std::uint64_t{1} << 18;
// A decoder's tables, and a page's codes three times: as they are, their contexts, and a copy of
// these. A code of q4, scales apart, is 9/16 of a byte.
constexpr std::uint64_t kCoderTables = std::uint64_t{1} << 17;
std::uint64_t decoding(std::uint64_t page) { return kCoderTables + 3 * page * 16 / 9; }

}  // namespace

MemoryAccount::MemoryAccount(const Manifest& manifest, const ResidencyRequest& request)
    : manifest_(manifest), request_(request), pinned_pages_(manifest.pages.size()) {
  const ModelConfig& config = manifest.config;
  state_bytes_ = RwkvState(config).bytes();
  answers_ = std::uint64_t{request.sessions} * config.vocab * request.answer_bytes;
  // A head in another order is multiplied as it stands and put in the order of tokens then.
  is_ordered_ = find_tensor(manifest, kHeadOrder) != nullptr;
  if (is_ordered_) answers_ += std::uint64_t{request.sessions} * config.vocab * sizeof(float);
  tables_ = manifest.pages.size() * (sizeof(PageEntry) + 6 * sizeof(std::uint64_t));
  std::uint64_t largest_page = 0;
  for (const PageEntry& page : manifest.pages) {
    largest_page = std::max<std::uint64_t>(largest_page, page.bytes);
  }
  coder_bytes_ = aligned(decoding(largest_page));
  tables_ += aligned(largest_page) + 2ULL * request.alignment;
  if (request.coded) {  // looking up decodes, too; and tags of pages
    tables_ += aligned(largest_page) + coder_bytes_ + manifest.pages.size() * 2 * kHashBytes;
  }
  for (const TensorEntry& tensor : manifest.tensors) {
    tables_ += 2 * sizeof(TensorEntry) + tensor.segments.size() * (sizeof(Segment) + 32);
    if (tensor.name == "emb.weight") {
      embedding_ = EmbeddingTable::kKeptRows *
                   (stored_bytes(tensor.format, tensor.layout, 1, tensor.cols) + 16);
    } else if (tensor.rows > 1 && tensor.name.find(kPredictorParts) != std::string::npos) {
      vectors_ += std::uint64_t{tensor.rows} * tensor.cols * 9 / 8 + 512;  // as q8 tiles, or less
    } else if (tensor.name.starts_with(kHeadScreen)) {
      continue;  // see hold_screen()
    } else if (tensor.rows == 1 || is_derived(tensor.name)) {
      vectors_ += std::uint64_t{tensor.rows} * tensor.cols * sizeof(float) + 64;
    }
  }
  tokenizer_ = vocabulary_bytes(manifest);
  reserve_ = kReserve + request.budget / 256;
  widen(0);
}

void MemoryAccount::pin_page_of(const TensorEntry& tensor) {
  for (const Segment& segment : tensor.segments) {
    if (pinned_pages_[segment.page]) continue;
    pinned_pages_[segment.page] = true;
    pinned_ += aligned(manifest_.pages[segment.page].bytes) + 2ULL * request_.alignment;
  }
}

void MemoryAccount::hold_screen() {
  for (const TensorEntry& tensor : manifest_.tensors) {
    if (!tensor.name.starts_with(kHeadScreen)) continue;
    if (tensor.layout == Layout::kTiles) {
      for (const Segment& segment : tensor.segments) {
        if (pinned_pages_[segment.page]) continue;
        pinned_pages_[segment.page] = true;
        screen_pages_ += aligned(manifest_.pages[segment.page].bytes) + 2ULL * request_.alignment;
      }
    } else {
      screen_of_model_ += std::uint64_t{tensor.rows} * tensor.cols * sizeof(float) + 64;
    }
  }
  // See common/model/internal/head_scratch.h: five numbers a token, two marks a tile.
  screen_of_model_ += std::uint64_t{manifest_.config.vocab} * (5 * sizeof(float) + 1);
}

// A token's vectors, a row: see common/model/internal/workspace.h.
std::uint64_t MemoryAccount::scratch(std::uint32_t rows) const {
  const ModelConfig& config = manifest_.config;
  const std::uint64_t input = 6;  // bytes a channel: a float, its code, its share of the group's
  const std::uint64_t row = std::uint64_t{config.width} * (15 * sizeof(float) + 8 * input) +
                            4 * kLowRank * input + std::uint64_t{config.ffn_width} * input;
  const std::uint64_t blocks = neuron_blocks_of(config.ffn_width);
  const std::uint64_t logits = (is_ordered_ ? 2 : 1) * request_.row_bytes;
  return rows * (row + logits) + blocks * config.width * sizeof(float) + config.ffn_width;
}

// A share that grows with what there is, so that pages never lose memory to it.
void MemoryAccount::widen(std::uint64_t surplus) {
  const std::uint64_t least = scratch(kFewRows);
  scratch_ = least + std::min(surplus / kScratchShare, scratch(kMostRows) - least);
  rows_ = kFewRows;
  while (rows_ < kMostRows && scratch(rows_ + kRowStep) <= scratch_) rows_ += kRowStep;
}

std::uint64_t MemoryAccount::fixed() const {
  std::uint64_t sum = 0;
  for (const MemoryShare& share : fixed_shares()) sum += share.bytes;
  return sum;
}

std::uint64_t MemoryAccount::least() const { return fixed() - request_.budget / 256; }

std::vector<MemoryShare> MemoryAccount::fixed_shares() const {
  std::vector<MemoryShare> shares = {{"process as it is", request_.baseline},
                                     {"for the command", request_.extra},
                                     {"vectors", vectors_},
                                     {"small matrices", pinned_},
                                     {"embedding rows", embedding_},
                                     {"vocabulary", tokenizer_},
                                     {"tables", tables_},
                                     {"states", state_bytes_ * request_.sessions},
                                     {"logits and sampling", answers_},
                                     {"scratch of a pass", scratch_},
                                     {"reserve", reserve_}};
  const std::uint64_t screen = screen_pages_ + screen_of_model_;
  if (screen != 0) shares.push_back({"head screen", screen});
  return shares;
}

std::uint64_t MemoryAccount::slack_of(std::uint32_t tensor) const {
  std::uint64_t runs = 0;
  std::uint64_t before = ~0ULL - 1;
  for (const Segment& segment : manifest_.tensors[tensor].segments) {
    if (segment.page != before + 1) ++runs;
    before = segment.page;
  }
  const std::uint64_t segments = manifest_.tensors[tensor].segments.size();
  return runs * 2 * request_.alignment + segments * kSegmentAlignment;
}

std::uint64_t MemoryAccount::row_overhead(std::uint32_t tensor) const {
  constexpr std::uint64_t kPlaceAndUses = sizeof(std::uint32_t) + 2 * sizeof(std::uint8_t);
  return std::uint64_t{manifest_.tensors[tensor].rows} * (kHashBytes + kPlaceAndUses);
}

}  // namespace skein::paging

std::uint64_t skein::vocabulary_bytes(const Manifest& manifest) {
  return manifest.tokenizer.bytes * paging::kTokenizerTimes;
}
