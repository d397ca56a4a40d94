#include "edge_node/tool/commands.h"

#include "edge_node/tool/internal/model_command.h"

namespace skein {

void add_model_commands(CLI::App& tool, Command& chosen) {
  tool::add_inspect(tool, chosen);
  tool::add_verify(tool, chosen);
  tool::add_tokenize(tool, chosen);
  tool::add_logits(tool, chosen);
  tool::add_generate(tool, chosen);
  tool::add_chat(tool, chosen);
  tool::add_eval(tool, chosen);
  tool::add_bench(tool, chosen);
  tool::add_tensors(tool, chosen);
}

}  // namespace skein
