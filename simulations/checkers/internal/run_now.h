// run_now's body: the only place in the checkers that meets Boost.Asio. Private; any thread.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "common/base/check.h"

namespace skein {

template <class T>
T run_now(Task<T> task) {
  boost::asio::io_context loop(1);
  std::optional<T> value;
  auto keep = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
    out.emplace(co_await std::move(inner));
  };
  boost::asio::co_spawn(loop, keep(std::move(task), value), boost::asio::detached);
  loop.run();
  CHECK(value.has_value());
  return std::move(*value);
}

}  // namespace skein
