#include "edge_node/generate/chat.h"

#include <boost/json.hpp>

namespace skein {

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    // Looking again from the same place turns three line ends into one as well.
    if (to.find(from) != std::string_view::npos) at += to.size();
  }
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

std::string filled(std::string_view pattern, std::string_view content) {
  std::string text(pattern);
  const std::size_t place = text.find("{}");
  if (place != std::string::npos) text.replace(place, 2, content);
  return text;
}

}  // namespace

ChatTemplate::ChatTemplate()
    : system_("System: {}\n\n"),
      user_("User: {}\n\n"),
      assistant_("Assistant: {}\n\n"),
      prompt_("Assistant:"),
      stops_{"\n\nUser:"} {}

Result<ChatTemplate> ChatTemplate::parse(std::string_view text) {
  ChatTemplate made;
  if (text.empty()) return made;
  try {
    const boost::json::value whole = boost::json::parse(text);
    const auto pattern = [&](const char* key) {
      return std::string(std::string_view(whole.at(key).as_string()));
    };
    made.system_ = pattern("system");
    made.user_ = pattern("user");
    made.assistant_ = pattern("assistant");
    made.prompt_ = pattern("prompt");
    made.stops_.clear();
    for (const auto& stop : whole.at("stop").as_array()) {
      made.stops_.emplace_back(std::string_view(stop.as_string()));
    }
    made.blank_line_ends_turn_ = false;
    return made;
  } catch (const std::exception& thrown) {
    return fail(Errc::kCorrupt, std::string("not a chat template: ") + thrown.what(), "manifest");
  }
}

std::string ChatTemplate::turn_end() const {
  const std::size_t place = assistant_.find("{}");
  return place == std::string::npos ? std::string() : assistant_.substr(place + 2);
}

Result<std::string> ChatTemplate::render(const std::vector<ChatMessage>& messages) const {
  std::string text;
  for (const ChatMessage& message : messages) {
    std::string content = trimmed(message.content);
    replace_all(content, "\r\n", "\n");
    if (blank_line_ends_turn_) replace_all(content, "\n\n", "\n");
    if (message.role == "system" || message.role == "developer") {
      text += filled(system_, content);
    } else if (message.role == "user") {
      text += filled(user_, content);
    } else if (message.role == "assistant") {
      text += filled(assistant_, content);
    } else {
      return fail(Errc::kUsage, "unknown role \"" + message.role + "\"", "messages",
                  "use system, user or assistant");
    }
  }
  return text + prompt_;
}

}  // namespace skein
