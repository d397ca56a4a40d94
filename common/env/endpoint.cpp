#include <charconv>

#include "common/env/network.h"

namespace skein {

std::string to_string(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + endpoint.host + "]" : endpoint.host;
  return host + ":" + std::to_string(endpoint.port);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const auto refuse = [&](const char* what) {
    return fail(Errc::kUsage, what, std::string(text), "write HOST:PORT, e.g. 127.0.0.1:7070");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return refuse("the address has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 3) return refuse("the address is not closed by ]");
    host = host.substr(1, host.size() - 2);
  }
  Endpoint endpoint{std::string(host), 0};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) {
    return refuse("the port is not a number from 0 to 65535");
  }
  return endpoint;
}

}  // namespace skein
