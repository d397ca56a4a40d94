// What the model commands share: the MODEL argument and its options, and JSON on a terminal.
// Private to the room.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <ostream>
#include <string>

#include "common/cli/command.h"
#include "edge_node/tool/model_file.h"

namespace skein::tool {

struct ModelOptions {
  ModelArguments model;
  bool json = false;
};

// A sub-command that takes MODEL, --vocab, --threads and --json. The options live in the shared
// pointer.
template <class Options>
CLI::App* add_model_command(CLI::App& tool, Command& chosen, const std::string& name,
                            const std::string& about, const std::shared_ptr<Options>& options) {
  CLI::App* command = tool.add_subcommand(name, about);
  command->add_option("MODEL", options->model.path, "a .skein artifact or a checkpoint file")
      ->required();
  command->add_option("--vocab", options->model.vocabulary,
                      "vocabulary file, for checkpoints without their own");
  add_threads_option(*command, chosen);
  options->model.cache_folder = chosen.cache_folder;
  command->add_flag("--json", options->json, "one JSON object on standard output");
  return command;
}

// And how fast storage is read. The arguments outlive the command.
inline void add_memory_budget(CLI::App* command, Command& chosen, ModelArguments& model) {
  add_size_option(*command, "--memory-budget", model.memory_budget,
                  "the most memory the process may take, e.g. 300M; weights beyond it are read "
                  "as they are needed");
  command
      ->add_option("--paging-rates", model.paging_rates,
                   "what the plan goes by instead of measuring: million bytes a second that "
                   "storage reads, a thread decodes and memory delivers, e.g. 300,800,20000")
      ->delimiter(',')
      ->expected(3)
      ->check(CLI::Range(0.001, 1e9))
      ->needs("--memory-budget");
  add_storage_options(*command, chosen);
  for (const char* name : {"--storage-mbps", "--storage-latency-us"}) {
    command->get_option(name)->each([&model](const std::string&) { model.slow_storage = true; });
  }
}

inline void print(Terminal& terminal, const boost::json::object& object) {
  terminal.out << object << "\n";
}

// Runs `work` (a Result-returning callable) on Compute and hands back what it returned.
template <class Work>
Task<Result<void>> on_compute(Env env, Work work) {
  Result<void> result;
  std::function<void()> job = [&] { result = work(); };
  co_await env.compute.run(std::move(job), Duration::zero());
  co_return result;
}

void add_inspect(CLI::App& tool, Command& chosen);
void add_verify(CLI::App& tool, Command& chosen);
void add_tokenize(CLI::App& tool, Command& chosen);
void add_logits(CLI::App& tool, Command& chosen);
void add_generate(CLI::App& tool, Command& chosen);
void add_chat(CLI::App& tool, Command& chosen);
void add_eval(CLI::App& tool, Command& chosen);
void add_bench(CLI::App& tool, Command& chosen);
void add_tensors(CLI::App& tool, Command& chosen);

}  // namespace skein::tool
