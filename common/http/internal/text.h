// Text: the pieces of HTTP that are only strings. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/http.h"

namespace skein::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string lower_case(std::string_view text);
// %XX, and '+' as a space where asked. Nothing when malformed or when it hides a NUL.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);
std::string percent_encode(std::string_view text, std::string_view also_plain);

struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
std::optional<Target> parse_target(std::string_view target);
std::string format_target(const HttpRequest& request);

// "HTTP/1.1 200 OK\r\n" and the headers, without the blank line. Control characters in values
// become spaces: what a handler quotes cannot add a header.
std::string response_head(int status, const Headers& headers);
void append_header(std::string& head, std::string_view name, std::string_view value);
bool has_header(const Headers& headers, std::string_view lower_name);

}  // namespace skein::http
