// The tokenizer in a GGUF file's metadata as a vocabulary file in the World format
// (common/model/tokenizer.h). Pure; any thread.
#pragma once

#include <string>

#include "common/checkpoint/internal/gguf_metadata.h"

namespace skein {

// llama.cpp escapes a token's bytes like a Python literal (\t \n \r \xNN, any other character after
// a backslash stands for itself). nullopt = a hexadecimal escape is cut or wrong.
std::optional<std::string> unescape_rwkv_token(std::string_view escaped);

// Empty = the file has no tokenizer of kind "rwkv". Errc::kCorrupt names the id.
Result<std::string> read_gguf_vocabulary(const Source& source, const GgufMetadata& metadata);

}  // namespace skein
