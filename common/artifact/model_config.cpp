#include "common/artifact/model_config.h"

namespace skein {

std::string_view name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kRwkv4:
      return "rwkv4";
    case Architecture::kRwkv5_1:
      return "rwkv5.1";
    case Architecture::kRwkv5_2:
      return "rwkv5.2";
    case Architecture::kRwkv6:
      return "rwkv6";
    case Architecture::kRwkv7:
      return "rwkv7";
  }
  return "unknown";
}

}  // namespace skein
