// StepSearch: what a squared step may cost so that all matrices together take so many bits once
// coded. Bits fall by about half a bit for each doubling, so a few encodings find it. Pure; one
// thread.
#pragma once

#include <optional>

#include "coordinator/compress/internal/planned_encoder.h"

namespace skein {

// The formats to run, of matrices surveyed with steps of that cost: q4, unless a wider one, whose
// codes span more, saves loss and coded bits worth having (a coded bit is worth what a step is
// traded for). With a limit the wider ones go, as long as they fit in so many bytes more than q4,
// where a byte saves most. `free`: a matrix whose bytes do not count.
std::map<std::string, Format, std::less<>> choose_run_formats(
    const std::map<std::string, SteppedMatrix, std::less<>>& stepped, double loss_step,
    std::optional<std::uint64_t> most_more_bytes, std::string_view free);

class StepSearch {
 public:
  // `first`: nats that a squared step costs, to begin with.
  StepSearch(double bits, double first) : target_(bits), at_(std::log2(first)) {}

  double loss_step() const { return std::exp2(at_); }
  // What encoding with loss_step() took. True: encode once more, with loss_step() as it is now;
  // false: this is it. Errc::kOutOfRoom: the bits cannot be reached.
  Result<bool> take(double bits);
  // What was taken is no guide any more: formats have changed.
  void forget() {
    above_ = within_ = std::nullopt;
    stride_ = 0;
  }

 private:
  struct Tried {
    double at, bits;
  };
  double target_;
  double at_;  // log2
  int encodings_ = 0;
  double stride_ = 0;  // octaves, the last one; 0: none
  bool last_ = false;
  std::optional<Tried> above_ = {};   // the target, the nearest
  std::optional<Tried> within_ = {};  // it
};

}  // namespace skein
