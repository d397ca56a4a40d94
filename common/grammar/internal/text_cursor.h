// TextCursor: a place in a text that is being parsed. What a parser derives from; private to the
// room.
#pragma once

#include <string_view>

#include "common/base/utf8.h"

namespace skein::grammar {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class TextCursor {
 protected:
  explicit TextCursor(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  std::string_view rest() const { return text_.substr(at_); }
  bool sees(char c) const { return !at_end() && text_[at_] == c; }
  bool take(char c) {
    if (!sees(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!rest().starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  // Not at the end; what is not valid is not taken.
  Utf8Character take_character() {
    const Utf8Character next = first_character(rest());
    if (next.valid) at_ += next.length;
    return next;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace skein::grammar
