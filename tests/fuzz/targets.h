// Every fuzz target by name, for replaying the corpora.
#pragma once

#include <array>
#include <string_view>

#include "common/base/bytes.h"

namespace skein::fuzz {

void artifact(ByteView input);
void blocks(ByteView input);
void coded_artifact_page(ByteView input);
void coded_elements(ByteView input);
void coded_page(ByteView input);
void frame(ByteView input);
void gguf(ByteView input);
void grammar(ByteView input);
void json_schema(ByteView input);
void manifest(ByteView input);
void message(ByteView input);
void pack(ByteView input);
void packed_tensors(ByteView input);
void patch(ByteView input);
void pickle(ByteView input);
void pressure(ByteView input);
void rwkv_cpp(ByteView input);
void safetensors(ByteView input);
void signed_manifest(ByteView input);
void state(ByteView input);
void vocabulary(ByteView input);
void zip(ByteView input);

struct Target {
  std::string_view name;
  void (*run)(ByteView input);
};
inline constexpr std::array kTargets = {
    Target{"artifact", artifact},
    Target{"blocks", blocks},
    Target{"coded_artifact_page", coded_artifact_page},
    Target{"coded_elements", coded_elements},
    Target{"coded_page", coded_page},
    Target{"frame", frame},
    Target{"gguf", gguf},
    Target{"grammar", grammar},
    Target{"json_schema", json_schema},
    Target{"manifest", manifest},
    Target{"message", message},
    Target{"pack", pack},
    Target{"packed_tensors", packed_tensors},
    Target{"patch", patch},
    Target{"pickle", pickle},
    Target{"pressure", pressure},
    Target{"rwkv_cpp", rwkv_cpp},
    Target{"safetensors", safetensors},
    Target{"signed_manifest", signed_manifest},
    Target{"state", state},
    Target{"vocabulary", vocabulary},
    Target{"zip", zip},
};

}  // namespace skein::fuzz
