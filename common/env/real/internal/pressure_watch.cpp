#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/env/real/internal/real_pressure.h"

namespace skein::real {

namespace asio = boost::asio;

namespace {

// A file that is always ready (its group is gone) does not keep the loop busy.
constexpr auto kBetween = std::chrono::milliseconds(500);

}  // namespace

struct PressureWatch::Watched {
  Watched(asio::io_context& loop, int fd) : file(loop, fd), pause(loop) {}
  asio::posix::stream_descriptor file;
  asio::steady_timer pause;
};

PressureWatch::PressureWatch(asio::io_context& loop) : loop_(loop) {}
PressureWatch::~PressureWatch() { stop(); }

void PressureWatch::start(const std::vector<PressureTrigger>& triggers,
                          std::function<void()> wake) {
  wake_ = std::move(wake);
  for (const PressureTrigger& trigger : triggers) {
    const int access = trigger.ask.empty() ? O_RDONLY : O_RDWR;
    const int fd = ::open(trigger.path.c_str(), access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) continue;
    // With the zero at its end, as the kernel's documentation writes it.
    const std::size_t count = trigger.ask.empty() ? 0 : trigger.ask.size() + 1;
    if (count > 0 && ::write(fd, trigger.ask.c_str(), count) != static_cast<ssize_t>(count)) {
      ::close(fd);
      continue;
    }
    files_.push_back(std::make_shared<Watched>(loop_, fd));
    if (trigger.ask.empty()) {
      std::array<char, 256> seen{};  // what is news is counted from the last read
      (void)!::pread(fd, seen.data(), seen.size(), 0);
    }
    await(files_.back());
  }
}

void PressureWatch::stop() {
  wake_ = {};
  files_.clear();
}

void PressureWatch::await(const std::shared_ptr<Watched>& watched) {
  const std::weak_ptr<Watched> weak = watched;
  watched->file.async_wait(asio::posix::stream_descriptor::wait_error,
                           [this, weak](const boost::system::error_code& error) {
                             const auto held = weak.lock();
                             if (!error && held) told(held);
                           });
}

void PressureWatch::told(const std::shared_ptr<Watched>& watched) {
  std::array<char, 256> seen{};
  (void)!::pread(watched->file.native_handle(), seen.data(), seen.size(), 0);
  const std::weak_ptr<Watched> weak = watched;
  watched->pause.expires_after(kBetween);
  watched->pause.async_wait([this, weak](const boost::system::error_code& error) {
    const auto held = weak.lock();
    if (!error && held) await(held);
  });
  const auto wake = wake_;  // it may stop us
  if (wake) wake();
}

}  // namespace skein::real
