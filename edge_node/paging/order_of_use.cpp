// The cycle that a pass walks through, and a pager reads ahead in: residency_plan.h. Pure.
#include <algorithm>
#include <span>

#include "edge_node/paging/residency_plan.h"

namespace skein {

namespace {

// In the order in which a layer multiplies with them; a name that a version lacks is passed over.
constexpr std::string_view kRwkv6[] = {
    "att.time_maa_w1",       "att.key.weight",    "att.value.weight",  "att.receptance.weight",
    "att.gate.weight",       "att.time_decay_w1", "att.time_decay_w2", "att.output.weight",
    "ffn.receptance.weight", "ffn.key.weight",    "ffn.value.weight"};
constexpr std::string_view kOthers[] = {"att.receptance.weight",
                                        "att.key.weight",
                                        "att.value.weight",
                                        "att.gate.weight",
                                        "att.w1",
                                        "att.a1",
                                        "att.v1",
                                        "att.g1",
                                        "att.w2",
                                        "att.a2",
                                        "att.v2",
                                        "att.g2",
                                        "att.output.weight",
                                        "ffn.receptance.weight",
                                        "ffn.key.weight",
                                        "ffn.value.weight"};

}  // namespace

std::vector<std::uint32_t> order_of_use(const Manifest& manifest) {
  std::vector<std::uint32_t> order;
  const auto add = [&](const std::string& name) {
    const auto& tensors = manifest.tensors;
    const auto found = std::ranges::find(tensors, name, &TensorEntry::name);
    if (found == tensors.end()) return;
    order.push_back(static_cast<std::uint32_t>(found - tensors.begin()));
  };
  const bool six = manifest.config.architecture == Architecture::kRwkv6;
  const std::span<const std::string_view> names =
      six ? std::span<const std::string_view>(kRwkv6) : std::span<const std::string_view>(kOthers);
  for (std::uint32_t layer = 0; layer < manifest.config.layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    for (const std::string_view name : names) add(block + std::string(name));
  }
  add("head.weight");
  return order;
}

}  // namespace skein
