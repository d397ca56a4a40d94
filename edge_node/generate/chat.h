// ChatTemplate: a conversation as the one text a model continues. Immutable value; any thread.
//
// Default (RWKV World and G1): "System: ...\n\n" once, "User: ...\n\nAssistant: ...\n\n" by turns,
// then "Assistant:"; an answer ends at "\n\nUser:" or at end of text. Inside a message, blank lines
// become line ends, since a blank line is what ends a turn.
// An artifact's own template is a JSON object of patterns, {} standing for the message:
//   {"system":"<s>{}\n","user":"<u>{}\n","assistant":"<a>{}\n","prompt":"<a>","stop":["<u>"]}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace skein {

struct ChatMessage {
  std::string role;  // "system" (or "developer"), "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  ChatTemplate();  // the default
  // "" is the default. Errc::kCorrupt.
  static Result<ChatTemplate> parse(std::string_view text);

  Result<std::string> render(const std::vector<ChatMessage>& messages) const;  // Errc::kUsage
  // What stands between an answer and the next turn.
  std::string turn_end() const;
  const std::vector<std::string>& stops() const { return stops_; }

 private:
  std::string system_, user_, assistant_, prompt_;
  std::vector<std::string> stops_;
  bool blank_line_ends_turn_ = true;
};

}  // namespace skein
