// ProgressLine: what is done and how long it may still take, on one line of a terminal; silent
// where there is none. Erased with its owner; one thread at a time.
#pragma once

#include <string>
#include <string_view>

#include "common/cli/command.h"

namespace skein {

class ProgressLine {
 public:
  ProgressLine(Env env, Terminal& terminal) : env_(env), terminal_(terminal) {}
  ~ProgressLine() {
    if (shown_) terminal_.err << "\r\033[K" << std::flush;
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // share: of the whole, 0 to 1.
  void show(double share, std::string_view what) {
    if (!terminal_.err_is_terminal) return;
    shown_ = true;
    const double passed = std::chrono::duration<double>(env_.clock.now() - began_).count();
    const auto filled = static_cast<std::size_t>(share * kWidth);
    terminal_.err << "\r\033[K[" << std::string(filled, '=') << std::string(kWidth - filled, ' ')
                  << "] " << static_cast<int>(share * 100) << " %";
    if (share > kToldFrom) {
      terminal_.err << ", " << static_cast<long>(passed / share - passed) << " s left";
    }
    terminal_.err << "  " << what << std::flush;
  }

 private:
  static constexpr std::size_t kWidth = 30;
  static constexpr double kToldFrom = 0.02;  // the share that a guess needs
  Env env_;
  Terminal& terminal_;
  Instant began_ = env_.clock.now();
  bool shown_ = false;
};

}  // namespace skein
