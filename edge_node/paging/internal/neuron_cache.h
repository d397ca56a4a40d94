// NeuronCache: rows of neuron-major matrices, brought in as a pass wants them and kept by how often
// they are wanted. Owned by a Pager; a pass's thread, which lends others.
//
// The mask of a pass is exact: it is known when the key matrix has been multiplied. Before, rows
// that will probably be wanted are read ahead (RowGuess, RowsAhead). Wanted rows that are neither
// kept nor ahead are then read in file order, neighbours together, and all are compared with their
// tags. They arrive in two halves of one buffer by turns, whole blocks of neurons each, so that one
// half is multiplied while the other fills. Then a row is copied to a kept place if it is wanted
// more often than what lies there. Counts are halved as time goes by.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "common/artifact/page_source.h"
#include "common/crypto/tagger.h"
#include "common/env/env.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/read_cost.h"
#include "edge_node/paging/internal/row_guess.h"
#include "edge_node/paging/internal/row_table.h"
#include "edge_node/paging/internal/rows_ahead.h"
#include "edge_node/paging/internal/trial.h"
#include "edge_node/paging/pager_counters.h"

namespace skein::paging {

class NeuronCache {
 public:
  struct Options {
    std::vector<std::uint32_t> tensors;  // of the manifest
    std::uint64_t staging_bytes = 0;
    std::uint32_t kept_rows = 0;
    std::uint32_t kept_row_bytes = 0;
    TagKey tag_key{};
    Meanwhile meanwhile{};
  };
  NeuronCache(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
              PagerCounters& counters, Options options);

  // Reads every page of these tensors once, verifies it and remembers its rows' tags. Measures
  // what reads cost.
  Result<void> learn_tags(MutableByteView page_buffer, Parallel& parallel);
  // From now on rows are read ahead, through a buffer of so many bytes; `predictor` may be none.
  void read_ahead(std::uint64_t bytes, std::unique_ptr<BlockReads> reads,
                  std::unique_ptr<NeuronPredictor> predictor);

  // As PagedTensors.
  void layer_begins(const PagedTensors::LayerInput& input, Parallel& parallel);
  Result<void> want(std::uint32_t tensor, std::span<const std::uint8_t> wanted, Parallel& parallel);
  Result<PagedTensors::Neurons> rows_from(std::uint32_t first, Parallel& parallel);
  void end_pass(Parallel& parallel);

 private:
  static constexpr std::uint32_t kNowhere = RowTable::kNowhere;
  struct Owner {
    std::uint32_t table = kNowhere;
    std::uint32_t row = 0;
  };
  struct Arrival {  // a row that is on its way or has come
    std::uint32_t row = 0;
    const std::byte* data = nullptr;
  };
  // One of the two halves of the buffer.
  struct Half {
    MutableByteView memory;
    std::uint32_t first_arrival = 0, last_arrival = 0;
    std::uint32_t first_neuron = 0, last_neuron = 0;
    std::uint32_t reading = 0;  // reads that are out
    Result<void> result;
  };

  std::span<const Arrival> arrivals_of(const Half& half) const {
    return std::span(arrivals_).subspan(half.first_arrival, half.last_arrival - half.first_arrival);
  }
  bool is_guessing() const;
  std::uint64_t gap_for(std::size_t wanted, const RowTable& table) const;
  void sort_out(const RowTable& table, std::span<const std::uint8_t> wanted);
  void guess(std::uint32_t index, const PagedTensors::LayerInput* input);
  Result<void> finish_ahead(Parallel& parallel);
  void verify(std::span<Arrival> arrivals, Parallel& parallel);
  tl::unexpected<Error> damaged(std::uint32_t row) const;
  Result<void> begin(Half& half);
  void plan_reads(Half& half);
  Result<void> collect(std::size_t at_least);
  Result<Duration> wait_for(const Half& half);
  Result<void> finish(Half& half, Parallel& parallel);
  Result<void> settle();
  void keep(std::span<const Arrival> arrivals, Parallel& parallel);
  std::uint32_t place_for(std::uint8_t uses);
  void leave(Parallel& parallel);
  void time_pass();
  void age();

  const StoredPages& pages_;
  Clock& clock_;
  PagerCounters& counters_;
  std::vector<RowTable> tables_;         // in the order of layers
  std::vector<std::uint32_t> table_of_;  // by tensor of the manifest
  std::vector<std::uint32_t> table_of_layer_;
  Meanwhile meanwhile_;
  ReadCost cost_;       // as measured at opening ...
  ReadCost seen_cost_;  // ... and with what a byte took of passes since
  Trial ways_;          // to read rows
  AlignedMemory staging_;
  AlignedMemory kept_;
  std::uint32_t kept_row_bytes_ = 0;
  std::vector<Owner> owners_;  // of kept places
  std::uint32_t hand_ = 0;     // where the search for a place goes on
  std::uint32_t passes_ = 0;   // since counts were halved

  // The tensor a pass is at.
  std::uint32_t current_ = kNowhere;
  std::vector<std::uint8_t> wanted_;  // of its rows
  std::vector<const std::byte*> at_;  // of its rows
  std::vector<Arrival> arrivals_;     // its rows that must be read, in order
  std::vector<Arrival> ahead_rows_;   // its rows that were read ahead, in order
  bool ahead_done_ = false;           // those are there
  std::vector<BlockRead> planned_;    // scratch
  std::array<Half, 2> halves_;
  std::uint32_t half_ = 0;          // which is taken next
  bool taken_ = false;              // the other one was, and its rows not yet kept
  std::uint32_t begun_neuron_ = 0;  // reads are out for those before
  std::uint32_t begun_arrival_ = 0;
  std::vector<Tagger> taggers_;                                 // a task each
  std::vector<std::pair<std::uint32_t, std::uint32_t>> moves_;  // scratch: arrival, place
  std::unique_ptr<RowGuess> guess_;                             // none: nothing is read ahead
  std::unique_ptr<RowsAhead> ahead_;
  std::vector<std::uint32_t> guesses_;  // scratch: rows
  RowGuess::Pass pass_;                 // the one under way ...
  std::optional<Instant> pass_began_;   // ... since
  std::uint64_t read_before_ = 0;       // bytes, in all
  std::uint32_t layers_ = 0;            // that it has come to
  std::uint32_t rows_of_pass_ = 0;
  std::unique_ptr<BlockReads> reads_;  // last: gone before the memory that it writes to
};

}  // namespace skein::paging
