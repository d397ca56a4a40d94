#include "common/model/internal/vocabulary.h"

#include <charconv>
#include <optional>

#include "common/artifact/model_config.h"
#include "common/base/utf8.h"

namespace skein {
namespace {

template <class Number>
std::optional<Number> whole_number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

// Escapes that stand for one byte; '\0' for anything else.
char simple_escape(char letter) {
  switch (letter) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
      return letter;
    default:
      return '\0';
  }
}

std::size_t escape_digits(char letter, bool raw_bytes) {
  if (letter == 'x') return 2;
  if (letter == 'u' && !raw_bytes) return 4;
  if (letter == 'U' && !raw_bytes) return 8;
  return 0;
}

// Reads the escape after a backslash at the front of `rest`; appends it; returns characters read.
Result<std::size_t> append_escape(std::string_view rest, bool raw_bytes, std::string& out) {
  if (rest.empty()) return fail(Errc::kCorrupt, "a backslash ends the literal");
  if (const char simple = simple_escape(rest[0]); simple != '\0') {
    out.push_back(simple);
    return 1;
  }
  const std::size_t digits = escape_digits(rest[0], raw_bytes);
  const auto code = digits == 0 || rest.size() <= digits
                        ? std::nullopt
                        : whole_number<std::uint32_t>(rest.substr(1, digits), 16);
  if (!code) return fail(Errc::kCorrupt, "unknown or cut escape in the literal");
  if (raw_bytes) {
    out.push_back(static_cast<char>(*code));
    return 1 + digits;
  }
  if (!is_character(*code)) {
    return fail(Errc::kCorrupt, "an escape is no Unicode character");
  }
  append_utf8(out, *code);
  return 1 + digits;
}

Result<VocabularyToken> parse_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first) {
    return fail(Errc::kCorrupt, "not '<id> <literal> <length>'");
  }
  const auto id = whole_number<TokenId>(line.substr(0, first));
  const auto length = whole_number<std::uint32_t>(line.substr(last + 1));
  if (!id || !length) return fail(Errc::kCorrupt, "id or length is no number");
  if (*id == 0 || *id >= kMaxVocab) {
    return fail(Errc::kCorrupt,
                "id " + std::to_string(*id) + " is outside 1.." + std::to_string(kMaxVocab - 1));
  }
  TRY(std::string bytes, parse_python_literal(line.substr(first + 1, last - first - 1)));
  if (bytes.size() != *length || bytes.empty() || bytes.size() > kMaxTokenBytes) {
    return fail(Errc::kCorrupt, "the literal has " + std::to_string(bytes.size()) +
                                    " bytes, the line says " + std::to_string(*length) +
                                    ", allowed are 1.." + std::to_string(kMaxTokenBytes));
  }
  return VocabularyToken{*id, std::move(bytes)};
}

}  // namespace

Result<std::string> parse_python_literal(std::string_view literal) {
  const bool raw_bytes = literal.starts_with('b');
  if (raw_bytes) literal.remove_prefix(1);
  const char quote = literal.empty() ? '\0' : literal.front();
  if (literal.size() < 2 || (quote != '\'' && quote != '"') || literal.back() != quote) {
    return fail(Errc::kCorrupt, "not a Python string or bytes literal");
  }
  const std::string_view body = literal.substr(1, literal.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\\') {
      TRY(const std::size_t read, append_escape(body.substr(i + 1), raw_bytes, out));
      i += read;
    } else if (body[i] == quote || (raw_bytes && static_cast<unsigned char>(body[i]) > 127)) {
      return fail(Errc::kCorrupt, "a character that the literal cannot hold unescaped");
    } else {
      out.push_back(body[i]);
    }
  }
  return out;
}

Result<std::vector<VocabularyToken>> parse_vocabulary(std::string_view file) {
  std::vector<VocabularyToken> tokens;
  std::vector<bool> seen;
  std::size_t number = 0;
  while (!file.empty()) {
    ++number;
    const std::size_t end = std::min(file.find('\n'), file.size());
    std::string_view line = file.substr(0, end);
    file.remove_prefix(std::min(end + 1, file.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto corrupt = [number](std::string what) {
      return fail(Errc::kCorrupt, std::move(what), "vocabulary line " + std::to_string(number),
                  "use an RWKV vocabulary file");
    };
    auto token = parse_line(line);
    if (!token) return corrupt(std::move(token.error().what));
    if (token->id >= seen.size()) seen.resize(token->id + 1);
    if (seen[token->id]) return corrupt("id " + std::to_string(token->id) + " stands twice");
    seen[token->id] = true;
    tokens.push_back(std::move(*token));
  }
  if (tokens.empty())
    return fail(Errc::kCorrupt, "no tokens", "vocabulary", "is it the right file?");
  return tokens;
}

}  // namespace skein
