// in_file: the same error, said of the file that a command was given. Pure; any thread.
#pragma once

#include <string>

#include "common/base/result.h"

namespace skein {

inline tl::unexpected<Error> in_file(const std::string& file, Error error) {
  if (error.where.empty()) {
    error.where = file;
  } else if (!error.where.starts_with(file)) {
    error.where = file + ", " + error.where;
  }
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace skein
