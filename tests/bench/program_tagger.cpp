// The program's Tagger under another name, so that verify_bench can stand a switch before it.
#define Tagger ProgramTagger
#include "common/crypto/tagger.cpp"  // NOLINT: the same code, not a copy of it
#undef Tagger

#include <functional>

namespace skein::test {

std::function<Tag(ByteView)> program_tagger(const TagKey& key) {
  return
      [tagger = std::make_shared<ProgramTagger>(key)](ByteView bytes) { return tagger->of(bytes); };
}

}  // namespace skein::test
