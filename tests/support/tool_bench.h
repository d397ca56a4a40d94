// ToolBench: the tool's commands as functions: parsed as main does, run with a RealEnv, their
// streams kept. Files live in a folder of the test's own. Tests only; one thread.
#pragma once

#include <fstream>
#include <functional>
#include <sstream>

#include "common/cli/command.h"
#include "common/env/real/real_env.h"
#include "tests/coordinator/support/temp_folder.h"
#include "tests/support/golden_model.h"

namespace skein::test {

class ToolBench {
 public:
  using AddCommands = std::function<void(CLI::App&, Command&)>;
  struct Outcome {
    Result<void> result;
    std::string out, err;
    // The sentence and its exit code, as main shows them; empty when all went well.
    std::string sentence() const { return result ? "" : to_string(result.error()); }
    int code() const { return result ? 0 : exit_code(result.error().code); }
  };

  explicit ToolBench(AddCommands add) : add_(std::move(add)) {}

  Outcome run(std::vector<std::string> words, const std::string& input = {}) const {
    CLI::App tool;
    tool.require_subcommand(1);
    Command chosen;
    add_(tool, chosen);
    std::reverse(words.begin(), words.end());
    try {
      tool.parse(words);
    } catch (const CLI::ParseError& error) {
      return {fail(Errc::kUsage, error.what(), "command line", "see --help"), {}, {}};
    }
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Terminal terminal{in, out, err};
    RealEnv real({.compute_threads = chosen.threads == 0 ? 1 : chosen.threads});
    Result<void> result = real.run(chosen.run(real.env(), terminal));
    return {std::move(result), out.str(), err.str()};
  }

  std::string path(const std::string& name) const { return folder_.path(name); }
  bool has(const std::string& name) const { return std::filesystem::exists(path(name)); }
  Buffer read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return to_buffer(bytes.str());
  }
  // Its path.
  std::string write(const std::string& name, ByteView bytes) const {
    std::ofstream file(path(name), std::ios::binary);
    file << as_text(bytes);
    CHECK(file.good());
    return path(name);
  }
  std::string golden(const std::string& name) const {
    return std::string(SKEIN_SOURCE_DIR) + "/tests/golden/" + name;
  }

 private:
  AddCommands add_;
  TempFolder folder_;
};

}  // namespace skein::test
