// bench_in_cgroup: `skein bench` of an artifact in a cgroup of its own, with memory and reads
// limited alike whether a budget keeps it small or the kernel does (the file mapped). For benches;
// one thread at a time. Takes root, or delegation (why_no_cgroup()).
#pragma once

#include <boost/json.hpp>

#include "tests/support/cgroup.h"

namespace skein::test {

struct BenchAsked {
  std::string file;
  bool mapped = false;             // instead of a budget as large as the group
  std::uint64_t memory_bytes = 0;  // of the group
  double mbps = 0;                 // million bytes a second; 0: as fast as the device is
  std::uint32_t decode = 4;        // tokens a round; one round more warms up
  std::uint32_t repeat = 1;
  std::uint32_t threads = 2;
  std::string paging_rates{};  // told to the pager; empty: it measures them
  std::chrono::seconds deadline{540};

  // That the model runs, the one before the first round included.
  std::uint64_t tokens() const { return 1 + std::uint64_t{decode} * (repeat + 1); }
};

struct BenchDone {
  CgroupRun run;
  boost::json::object facts;  // what the bench told; empty when it did not
  std::string sentence;       // then, why

  double number(std::string_view name) const {
    const boost::json::value* found = facts.if_contains(name);
    return found != nullptr && found->is_number() ? found->to_number<double>() : 0;
  }
};

// What others read of the file would be in nobody's account.
inline void forget_cached(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

inline std::string why_untold(const CgroupRun& run, std::chrono::seconds deadline) {
  if (!run.failure.empty()) return run.failure;
  if (run.killed) return "killed by the kernel for memory";
  if (run.late) return "not done in " + std::to_string(deadline.count()) + " s";
  std::string said = run.output.substr(0, run.output.find_last_not_of('\n') + 1);
  std::ranges::replace(said, '\n', ' ');
  return said.empty() ? "ended with code " + std::to_string(run.exit_code) : said;
}

// With the program beside the one that asks, the file cold.
inline BenchDone bench_in_cgroup(const BenchAsked& asked) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::vector<std::string> words = {here / "skein",
                                    "bench",
                                    asked.file,
                                    "--json",
                                    "--prefill=0",
                                    "--threads=" + std::to_string(asked.threads),
                                    "--decode=" + std::to_string(asked.decode),
                                    "--repeat=" + std::to_string(asked.repeat)};
  words.push_back(asked.mapped ? "--mmap"
                               : "--memory-budget=" + std::to_string(asked.memory_bytes));
  if (!asked.mapped && !asked.paging_rates.empty()) {
    words.push_back("--paging-rates=" + asked.paging_rates);
  }
  forget_cached(asked.file);
  BenchDone done;
  done.run = run_in_cgroup({.memory_bytes = asked.memory_bytes,
                            .read_bytes_per_second = static_cast<std::uint64_t>(asked.mbps * 1e6),
                            .device_of = asked.file,
                            .deadline = asked.deadline},
                           words);
  std::istringstream lines(done.run.output);
  for (std::string line; std::getline(lines, line);) {
    boost::system::error_code wrong;
    const boost::json::value told = boost::json::parse(line, wrong);
    if (!wrong && told.is_object()) done.facts = told.as_object();
  }
  if (done.run.exit_code != 0) done.facts.clear();
  if (done.facts.empty()) done.sentence = why_untold(done.run, asked.deadline);
  return done;
}

}  // namespace skein::test
