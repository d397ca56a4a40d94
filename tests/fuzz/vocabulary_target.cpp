#include "common/model/tokenizer.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(vocabulary) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const auto tokenizer = Tokenizer::parse(as_text(input));
  if (!tokenizer) return;
  const std::string_view text = as_text(input).substr(0, 512);
  const auto ids = (*tokenizer)->encode(text);
  if (!ids) return;
  const auto back = (*tokenizer)->decode(*ids);
  CHECK(back.has_value() && *back == text);
}
