// Runs one task on a loop of its own and gives back what it returned. For tests whose world needs
// no clock. One thread.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "common/base/check.h"
#include "common/env/task.h"

namespace skein::test {

template <class T>
T run_task(Task<T> task) {
  boost::asio::io_context loop(1);
  std::optional<T> result;
  boost::asio::co_spawn(loop, std::move(task), [&](const std::exception_ptr& thrown, T value) {
    if (thrown) std::rethrow_exception(thrown);
    result.emplace(std::move(value));
  });
  loop.run();
  CHECK(result.has_value());
  return std::move(*result);
}

}  // namespace skein::test
