// skein tensors pack and unpack, as a person calls them.
#include "tests/edge_node/tool/tool_world.h"

namespace skein {
namespace {

using test::ModelCommands;

class TensorCommands : public ModelCommands {
 protected:
  std::string golden(const std::string& name) { return bench_.golden(name); }
  Buffer bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return to_buffer(std::string((std::istreambuf_iterator<char>(file)), {}));
  }
  std::string packed_ = bench_.path("packed");
  std::string back_ = bench_.path("back.safetensors");
};

TEST_F(TensorCommands, PackAndUnpackGiveTheSameFileAndSayWhatItTook) {
  for (const char* name : {"tiny-64-f32.safetensors", "tiny-128-bf16.safetensors"}) {
    const auto told = run_json({"tensors", "pack", golden(name), "-o", packed_, "--json"});
    EXPECT_EQ(told.at("raw_bytes").to_number<std::size_t>(), bytes_of(golden(name)).size());
    EXPECT_EQ(told.at("packed_bytes").to_number<std::size_t>(), bench_.read("packed").size());
    EXPECT_GT(told.at("ratio").to_number<double>(), 1.1);
    EXPECT_GT(told.at("seconds").to_number<double>(), 0);
    EXPECT_GT(told.at("bytes_per_s").to_number<double>(), 0);
    EXPECT_EQ(told.size(), 5U);
    const auto again = run_json({"tensors", "unpack", packed_, "-o", back_, "--json"});
    EXPECT_EQ(again.size(), 5U);
    EXPECT_EQ(again.at("ratio"), told.at("ratio"));
    EXPECT_EQ(bench_.read("back.safetensors"), bytes_of(golden(name)));
  }
}

TEST_F(TensorCommands, TheBytesAreTheSameWithAnyThreads) {
  const std::string file = golden("tiny-128-bf16.safetensors");
  run({"tensors", "pack", file, "-o", packed_, "--threads", "1"});
  run({"tensors", "pack", file, "-o", bench_.path("three"), "--threads", "3"});
  EXPECT_EQ(bench_.read("packed"), bench_.read("three"));
}

TEST_F(TensorCommands, ABaseIsAskedForAndMustBeTheRightOne) {
  const std::string base = golden("tiny-128-bf16.safetensors");
  Buffer changed = bytes_of(base);
  changed.back() ^= std::byte{1};
  const std::string file = bench_.write("changed.safetensors", changed);
  run({"tensors", "pack", file, "-o", packed_, "--base", base});
  EXPECT_LT(bench_.read("packed").size() * 20, changed.size());
  run({"tensors", "unpack", packed_, "-o", back_, "--base", base});
  EXPECT_EQ(bench_.read("back.safetensors"), changed);
  const std::string out = bench_.path("x.safetensors");
  expect_refused({"tensors", "unpack", packed_, "-o", out}, 2, "--base");
  expect_refused({"tensors", "unpack", packed_, "-o", out, "--base", file}, 1, "another base");
  EXPECT_FALSE(bench_.has("x.safetensors"));
}

TEST_F(TensorCommands, WhatCannotBeReadIsNamedAndLeavesNothing) {
  const std::string out = bench_.path("x");
  expect_refused({"tensors", "pack", bench_.path("none"), "-o", out}, 3, "none");
  expect_refused({"tensors", "pack", vocabulary_, "-o", out}, 3, "tiny-vocab.txt");
  expect_refused({"tensors", "pack", checkpoint_, "-o", out, "--base", vocabulary_}, 3, "vocab");
  expect_refused({"tensors", "unpack", checkpoint_, "-o", out}, 3, "no packed tensors");
  run({"tensors", "pack", checkpoint_, "-o", packed_});
  Buffer damaged = bench_.read("packed");
  damaged[damaged.size() - 100] ^= std::byte{1};
  const std::string bad = bench_.write("damaged", damaged);
  expect_refused({"tensors", "unpack", bad, "-o", out}, 3, "damaged");
  damaged.resize(damaged.size() / 2);
  expect_refused({"tensors", "unpack", bench_.write("cut", damaged), "-o", out}, 3, "cut");
  EXPECT_FALSE(bench_.has("x"));
  EXPECT_FALSE(bench_.has("x.new"));
}

}  // namespace
}  // namespace skein
