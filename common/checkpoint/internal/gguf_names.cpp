#include "common/checkpoint/internal/gguf_names.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "common/checkpoint/internal/official.h"

namespace skein {
namespace {

constexpr std::uint8_t kIn6 = 1;
constexpr std::uint8_t kIn7 = 2;
constexpr std::uint8_t kInBoth = kIn6 | kIn7;

enum class Form : std::uint8_t {
  kAsItIs,
  kMix,      // (D) -> (1, 1, D)
  kHeads,    // (D) -> (heads, head size)
  kSwapped,  // transposed
  kHalved,   // RWKV-6's rescaled matrices
  kJoined,   // token-shift vectors in one tensor
};

struct NamePair {
  std::string_view gguf;  // below "blk.N.", or the whole name
  std::string_view official;
  std::uint8_t versions = kInBoth;
  Form form = Form::kAsItIs;
};

constexpr std::array kOutside = {
    NamePair{"token_embd.weight", "emb.weight"},
    NamePair{"token_embd_norm.weight", "blocks.0.ln0.weight"},
    NamePair{"token_embd_norm.bias", "blocks.0.ln0.bias"},
    NamePair{"output_norm.weight", "ln_out.weight"},
    NamePair{"output_norm.bias", "ln_out.bias"},
    NamePair{"output.weight", "head.weight"},
};

constexpr std::array kInLayer = {
    NamePair{"attn_norm.weight", "ln1.weight"},
    NamePair{"attn_norm.bias", "ln1.bias"},
    NamePair{"attn_norm_2.weight", "ln2.weight"},
    NamePair{"attn_norm_2.bias", "ln2.bias"},
    NamePair{"time_mix_key.weight", "att.key.weight"},
    NamePair{"time_mix_value.weight", "att.value.weight"},
    NamePair{"time_mix_receptance.weight", "att.receptance.weight"},
    NamePair{"time_mix_gate.weight", "att.gate.weight", kIn6},
    NamePair{"time_mix_output.weight", "att.output.weight", kInBoth, Form::kHalved},
    NamePair{"time_mix_ln.weight", "att.ln_x.weight"},
    NamePair{"time_mix_ln.bias", "att.ln_x.bias"},
    NamePair{"channel_mix_key.weight", "ffn.key.weight"},
    NamePair{"channel_mix_value.weight", "ffn.value.weight", kInBoth, Form::kHalved},
    NamePair{"channel_mix_receptance.weight", "ffn.receptance.weight", kIn6},
    NamePair{"time_mix_lerp_fused.weight", "", kInBoth, Form::kJoined},

    NamePair{"time_mix_w0.weight", "att.w0", kIn7, Form::kMix},
    NamePair{"time_mix_a0.weight", "att.a0", kIn7, Form::kMix},
    NamePair{"time_mix_v0.weight", "att.v0", kIn7, Form::kMix},
    NamePair{"time_mix_w1.weight", "att.w1", kIn7, Form::kSwapped},
    NamePair{"time_mix_w2.weight", "att.w2", kIn7, Form::kSwapped},
    NamePair{"time_mix_a1.weight", "att.a1", kIn7, Form::kSwapped},
    NamePair{"time_mix_a2.weight", "att.a2", kIn7, Form::kSwapped},
    NamePair{"time_mix_v1.weight", "att.v1", kIn7, Form::kSwapped},
    NamePair{"time_mix_v2.weight", "att.v2", kIn7, Form::kSwapped},
    NamePair{"time_mix_g1.weight", "att.g1", kIn7, Form::kSwapped},
    NamePair{"time_mix_g2.weight", "att.g2", kIn7, Form::kSwapped},
    NamePair{"time_mix_k_k.weight", "att.k_k", kIn7, Form::kMix},
    NamePair{"time_mix_k_a.weight", "att.k_a", kIn7, Form::kMix},
    NamePair{"time_mix_r_k.weight", "att.r_k", kIn7, Form::kHeads},
    NamePair{"channel_mix_lerp_k.weight", "ffn.x_k", kIn7, Form::kMix},

    NamePair{"time_mix_w1.weight", "att.time_maa_w1", kIn6, Form::kSwapped},
    NamePair{"time_mix_w2.weight", "att.time_maa_w2", kIn6, Form::kSwapped},
    NamePair{"time_mix_lerp_x.weight", "att.time_maa_x", kIn6, Form::kMix},
    NamePair{"time_mix_lerp_w.weight", "att.time_maa_w", kIn6, Form::kMix},
    NamePair{"time_mix_lerp_k.weight", "att.time_maa_k", kIn6, Form::kMix},
    NamePair{"time_mix_lerp_v.weight", "att.time_maa_v", kIn6, Form::kMix},
    NamePair{"time_mix_lerp_r.weight", "att.time_maa_r", kIn6, Form::kMix},
    NamePair{"time_mix_lerp_g.weight", "att.time_maa_g", kIn6, Form::kMix},
    NamePair{"time_mix_first.weight", "att.time_faaaa", kIn6, Form::kHeads},
    NamePair{"time_mix_decay.weight", "att.time_decay", kIn6, Form::kMix},
    NamePair{"time_mix_decay_w1.weight", "att.time_decay_w1", kIn6, Form::kSwapped},
    NamePair{"time_mix_decay_w2.weight", "att.time_decay_w2", kIn6, Form::kSwapped},
    NamePair{"channel_mix_lerp_k.weight", "ffn.time_maa_k", kIn6, Form::kMix},
    NamePair{"channel_mix_lerp_r.weight", "ffn.time_maa_r", kIn6, Form::kMix},
};

constexpr std::array<std::string_view, 6> kJoined7 = {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"};
constexpr std::array<std::string_view, 5> kJoined6 = {"time_maa_w", "time_maa_k", "time_maa_v",
                                                      "time_maa_r", "time_maa_g"};
constexpr std::uint32_t kMaxDoublings = 63;

class Translator {
 public:
  Translator(const Source& source, const GgufModel& model) : source_(source), model_(model) {}
  Result<void> add(CheckpointTensor tensor);
  Result<std::vector<CheckpointTensor>> finish();

 private:
  tl::unexpected<Error> unknown(const CheckpointTensor& tensor) const;
  Result<void> bring_into_form(CheckpointTensor& tensor, Form form, std::uint32_t layer) const;

  const Source& source_;
  const GgufModel& model_;
  std::uint64_t layers_ = 0;
  std::vector<CheckpointTensor> out_;
};

tl::unexpected<Error> Translator::unknown(const CheckpointTensor& tensor) const {
  const bool newest = model_.architecture == GgufArchitecture::kRwkv7;
  return source_.unsupported(
      "tensor " + quoted(tensor.name) + " is none of llama.cpp's " + (newest ? "rwkv7" : "rwkv6"),
      "names", "use a plain RWKV model");
}

// (D) however many ones stand around it -> (heads, head size) or (1, 1, D).
std::vector<std::uint32_t> vector_shape(const CheckpointTensor& tensor, std::uint32_t head_size) {
  std::uint32_t width = 1;  // the file holds them all: no overflow
  for (const std::uint32_t size : tensor.shape) width *= size;
  if (head_size != 0 && width % head_size == 0) return {width / head_size, head_size};
  return {1, 1, width};
}

Result<void> Translator::bring_into_form(CheckpointTensor& tensor, Form form,
                                         std::uint32_t layer) const {
  switch (form) {
    case Form::kMix:
      tensor.shape = vector_shape(tensor, 0);
      break;
    case Form::kHeads:
      tensor.shape = vector_shape(tensor, model_.head_size);
      break;
    case Form::kSwapped:
      mark_swapped(tensor);
      break;
    case Form::kHalved:
      if (model_.rescale_every != 0) {
        const std::uint32_t times = layer / model_.rescale_every;
        if (times > kMaxDoublings) {
          return source_.corrupt("tensor " + quoted(tensor.name) + " would be halved " +
                                     std::to_string(times) + " times",
                                 "rescale_every_n_layers");
        }
        tensor.doublings = static_cast<std::uint8_t>(times);
      }
      break;
    case Form::kAsItIs:
    case Form::kJoined:
      break;
  }
  return {};
}

Result<void> Translator::add(CheckpointTensor tensor) {
  const auto outside = std::ranges::find(kOutside, tensor.name, &NamePair::gguf);
  if (outside != kOutside.end()) {
    tensor.name = outside->official;
    out_.push_back(std::move(tensor));
    return {};
  }
  const auto numbered = parse_numbered(tensor.name, "blk.");
  std::uint32_t layer = 0;
  if (!numbered || std::from_chars(numbered->number.data(),
                                   numbered->number.data() + numbered->number.size(), layer)
                           .ec != std::errc()) {
    return unknown(tensor);
  }
  const bool newest = model_.architecture == GgufArchitecture::kRwkv7;
  const std::uint8_t version = newest ? kIn7 : kIn6;
  const auto pair = std::ranges::find_if(kInLayer, [&](const NamePair& each) {
    return each.gguf == numbered->part && (each.versions & version) != 0;
  });
  if (pair == kInLayer.end()) return unknown(tensor);
  layers_ = std::max(layers_, std::uint64_t{layer} + 1);
  const std::string block = "blocks." + numbered->number + ".";
  if (pair->form == Form::kJoined) {
    const std::span<const std::string_view> parts =
        newest ? std::span<const std::string_view>(kJoined7) : kJoined6;
    return split_joined(source_, tensor, block + "att.", parts, out_);
  }
  // Layer 0 has no value residual: the converter puts copies of a0, a1, a2 in its place.
  if (newest && layer == 0 && pair->official.starts_with("att.v") &&
      pair->official.size() == std::string_view("att.v0").size()) {
    return {};
  }
  TRY_VOID(bring_into_form(tensor, pair->form, layer));
  tensor.name = block + std::string(pair->official);
  out_.push_back(std::move(tensor));
  return {};
}

Result<std::vector<CheckpointTensor>> Translator::finish() {
  if (model_.layers && *model_.layers != layers_) {
    return source_.corrupt("the model should have " + std::to_string(*model_.layers) +
                               " layers, and there are tensors of " + std::to_string(layers_),
                           "block_count");
  }
  return std::move(out_);
}

}  // namespace

Result<std::vector<CheckpointTensor>> official_tensors(const Source& source, const GgufModel& model,
                                                       std::vector<CheckpointTensor> tensors) {
  Translator translator(source, model);
  for (CheckpointTensor& tensor : tensors) TRY_VOID(translator.add(std::move(tensor)));
  return translator.finish();
}

}  // namespace skein
