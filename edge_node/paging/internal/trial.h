// Trial: several ways to do the same thing over and over, tried in turn, of which the fastest is
// kept and the others are looked at again now and then. Never about results. Value, of a
// NeuronCache; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace skein::paging {

class Trial {
 public:
  static constexpr std::uint32_t kFirst = 3;     // times of each way, before one is kept
  static constexpr std::uint32_t kAnother = 48;  // times of it, before another is looked at ...
  static constexpr std::uint32_t kLook = 2;      // ... so many times
  static constexpr double kFading = 0.75;        // of what a way took before
  static constexpr double kBetter = 0.97;        // of the time of the way that is kept

  static constexpr std::uint32_t kOthers = 8;

  explicit Trial(std::size_t ways) : ways_(ways) {}

  std::size_t way() const { return way_; }  // to be used the next time
  // It took so long; 0: no clock tells, and the way stays. Times of another kind than those before
  // are no measure and left out, until so many came in a row that all begins anew with these.
  void took(double seconds, std::uint64_t kind = 0);

 private:
  struct Way {
    double seconds = 0;  // a fading mean
    std::uint32_t times = 0;
  };
  std::size_t fastest() const;
  void go_on_with(std::size_t way);

  std::vector<Way> ways_;
  std::size_t way_ = 0;
  std::size_t kept_ = 0;       // the fastest, once each was tried
  std::size_t looked_at_ = 0;  // beside it, last
  std::uint32_t since_ = 0;    // times of the same way
  bool is_first_ = true;       // none is kept yet
  std::uint64_t kind_ = 0;     // of what was timed ...
  std::uint32_t others_ = 0;   // ... and how many of another kind came since
};

}  // namespace skein::paging
