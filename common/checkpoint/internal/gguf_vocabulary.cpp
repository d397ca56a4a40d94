#include "common/checkpoint/internal/gguf_vocabulary.h"

#include <charconv>

namespace skein {
namespace {

constexpr std::uint64_t kMaxTokens = 1U << 20;
constexpr std::size_t kMaxTokenBytes = 1024;  // as Tokenizer::parse
constexpr std::int32_t kNormal = 1;           // llama.cpp's token types; the others stand for
constexpr std::int32_t kUserDefined = 4;      // no text: <s>, [PAD65530]

// A Python bytes literal.
std::string literal_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "b'";
  for (const char c : bytes) {
    if (c >= ' ' && c <= '~' && c != '\'' && c != '\\') {
      out += c;
      continue;
    }
    const auto value = static_cast<unsigned char>(c);
    out += "\\x";
    out += kDigits[value >> 4];
    out += kDigits[value & 15];
  }
  return out + "'";
}

char simple_escape(char letter) {
  if (letter == 't') return '\t';
  if (letter == 'n') return '\n';
  if (letter == 'r') return '\r';
  return letter;
}

}  // namespace

std::optional<std::string> unescape_rwkv_token(std::string_view escaped) {
  std::string out;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != '\\') {
      out += escaped[i];
      continue;
    }
    if (++i == escaped.size()) return std::nullopt;
    if (escaped[i] != 'x') {
      out += simple_escape(escaped[i]);
      continue;
    }
    const std::string_view digits = escaped.substr(i + 1, 2);
    unsigned char value = 0;
    const char* last = digits.data() + digits.size();
    const auto [end, wrong] = std::from_chars(digits.data(), last, value, 16);
    if (digits.size() != 2 || wrong != std::errc() || end != last) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

Result<std::string> read_gguf_vocabulary(const Source& source, const GgufMetadata& metadata) {
  TRY(const auto kind, metadata.text(source, "tokenizer.ggml.model"));
  if (!kind || *kind != "rwkv") return std::string();
  TRY(const auto tokens, metadata.texts(source, "tokenizer.ggml.tokens", kMaxTokens));
  if (!tokens) return std::string();
  TRY(const auto types, metadata.integers(source, "tokenizer.ggml.token_type", kMaxTokens));
  if (types && types->size() != tokens->size()) {
    return source.corrupt("there are " + std::to_string(tokens->size()) + " tokens but " +
                              std::to_string(types->size()) + " token types",
                          "metadata");
  }
  std::string file;
  for (std::size_t id = 1; id < tokens->size(); ++id) {  // id 0 is the end of text
    const std::int32_t type = types ? (*types)[id] : kNormal;
    if (type != kNormal && type != kUserDefined) continue;
    const auto bytes = unescape_rwkv_token((*tokens)[id]);
    if (!bytes || bytes->empty() || bytes->size() > kMaxTokenBytes) {
      return source.corrupt("token " + std::to_string(id) +
                                " of the vocabulary cannot be read: " + quoted((*tokens)[id]),
                            "metadata");
    }
    file +=
        std::to_string(id) + " " + literal_of(*bytes) + " " + std::to_string(bytes->size()) + "\n";
  }
  return file;
}

}  // namespace skein
