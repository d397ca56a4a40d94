#include "common/tensors/packed_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace skein {
namespace {

Buffer safetensors(const std::string& header, ByteView data) {
  Buffer file;
  append_le<std::uint64_t>(file, header.size());
  append(file, as_bytes(header));
  append(file, data);
  return file;
}

Buffer bfloats(std::size_t count, double change) {
  std::mt19937 random(1);
  std::mt19937 other(2);
  std::normal_distribution<double> normal(0, 0.02);
  Buffer bytes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(normal(random) + change * normal(other));
    append_le(bytes, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  return bytes;
}

std::string entry(const std::string& name, const std::string& dtype, std::size_t count,
                  std::size_t begin, std::size_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + std::to_string(count) +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

// One large tensor of bf16 with a change, two small ones, one of a type that is only stored, one
// empty; metadata, and a header filled up with blanks, as writers do.
Buffer sample(double change) {
  Buffer data = bfloats(300'000, change);
  append(data, as_bytes("12345678abcdefgh!?"));
  const std::string header =
      "{\"__metadata__\":{\"format\":\"pt\"}," + entry("late", "I64", 1, 600'008, 600'016) + "," +
      entry("w", "BF16", 300'000, 0, 600'000) + "," + entry("f", "F32", 2, 600'000, 600'008) + "," +
      entry("none", "F32", 0, 600'016, 600'016) + "," + entry("bytes", "I8", 2, 600'016, 600'018) +
      "}     ";
  return safetensors(header, data);
}

// As the tool writes it, but in memory.
Buffer packed(ByteView file, ByteView base) {
  SerialParallel serial;
  CodecMemory memory;
  auto directory = plan_pages({file, "in"}, {base, "base"});
  EXPECT_TRUE(directory) << to_string(directory.error());
  if (!base.empty()) directory->base = base_digest(base, serial);
  Buffer pages;
  for (PackedPage& page : directory->pages) append(pages, pack_page(file, base, page, memory));
  Buffer all = encode_directory(*directory);
  EXPECT_EQ(all.size(), directory_bytes(directory->pages.size()));
  append(all, pages);
  return all;
}

Result<Buffer> unpacked(ByteView all, ByteView base) {
  TRY(const PackedDirectory directory, read_directory({all, "packed"}));
  CodecMemory memory;
  Buffer raw(directory.raw_bytes);
  std::size_t at = directory_bytes(directory.pages.size());
  for (const PackedPage& page : directory.pages) {
    const ByteView part = all.subspan(at, page.packed_bytes);
    TRY_VOID(
        unpack_page(page, part, base, memory, MutableByteView(raw).subspan(page.at, page.bytes)));
    at += page.packed_bytes;
  }
  return raw;
}

TEST(PackedTensors, EveryByteOfTheFileComesBack) {
  const Buffer file = sample(0);
  const Buffer all = packed(file, {});
  EXPECT_EQ(unpacked(all, {}).value(), file);
  EXPECT_LT(all.size() * 149, file.size() * 100);
  for (const char* header : {"{}", "{ }  ", "{\"__metadata__\":{}}"}) {
    const Buffer empty = safetensors(header, {});
    EXPECT_EQ(unpacked(packed(empty, {}), {}).value(), empty);
  }
}

TEST(PackedTensors, ABaseMakesThemSmallAndIsNeededAgain) {
  const Buffer base = sample(0);
  const Buffer file = sample(1e-3);
  const Buffer all = packed(file, base);
  EXPECT_LT(all.size() * 9, file.size());
  EXPECT_EQ(unpacked(all, base).value(), file);
  EXPECT_FALSE(unpacked(all, {}));
  EXPECT_FALSE(unpacked(all, ByteView(base).first(base.size() / 2)));
  const auto other = unpacked(all, sample(0.5));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kCorrupt);
}

TEST(PackedTensors, ABaseWithOtherTensorsCostsNothing) {
  const Buffer file = sample(0);
  const Buffer data(8);
  const Buffer other = safetensors("{" + entry("w", "BF16", 4, 0, 8) + "}", data);
  EXPECT_EQ(packed(file, other).size(), packed(file, {}).size());
  EXPECT_EQ(unpacked(packed(file, other), other).value(), file);
}

TEST(PackedTensors, WhatIsNoSafetensorsFileIsRefused) {
  const Buffer file = sample(0);
  const ByteView cut = ByteView(file).first(file.size() - 1);
  for (const ByteView bad : {ByteView(), as_bytes("hello, world"), cut}) {
    const auto plan = plan_pages({bad, "bad.safetensors"}, {});
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Errc::kCorrupt);
    EXPECT_NE(to_string(plan.error()).find("bad.safetensors"), std::string::npos);
  }
  EXPECT_FALSE(plan_pages({file, "in"}, {cut, "base"}));
}

TEST(PackedTensors, DamageAnywhereIsFound) {
  const Buffer good = packed(sample(0), {});
  const std::size_t head = directory_bytes(read_directory({good, "p"})->pages.size());
  for (std::size_t bit = 0; bit < 8 * head; bit += 3) {
    Buffer all = good;
    all[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(read_directory({all, "p"})) << bit;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    Buffer all = good;
    all[head + random() % (all.size() - head)] ^= static_cast<std::byte>(1U << random() % 8);
    EXPECT_FALSE(unpacked(all, {}));
    EXPECT_FALSE(unpacked(ByteView(good).first(random() % good.size()), {}));
  }
}

}  // namespace
}  // namespace skein
