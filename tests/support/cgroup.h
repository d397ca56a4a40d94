// run_in_cgroup: a whole program under a real memory limit, in a cgroup (v1 or v2) of its own that
// is gone afterwards. Test support; one thread at a time.
//
//   if (const auto why = why_no_cgroup()) { std::cerr << *why; GTEST_SKIP() << *why; }
//   const CgroupRun run = run_in_cgroup({.memory_bytes = 64 << 20}, {program_path("skein"), ...});
//   EXPECT_FALSE(run.killed);  EXPECT_LE(run.peak_bytes, 64 << 20);
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace skein::test {

struct CgroupLimits {
  std::uint64_t memory_bytes = 0;  // anonymous memory and page cache together; swap is none
  // Reads of the device under `device_of` (a path), by anyone in the group, page faults included,
  // are counted and, unless this is 0, no faster. No path: neither.
  std::uint64_t read_bytes_per_second = 0;
  std::string device_of{};
  std::chrono::seconds deadline{120};  // then it is killed
};

struct CgroupRun {
  std::string failure;           // the group could not be made or the program not started
  int exit_code = -1;            // -1 when a signal ended it
  bool killed = false;           // by the kernel, for memory
  bool late = false;             // by us, at the deadline
  std::uint64_t peak_bytes = 0;  // the most the group ever held
  std::uint64_t read_bytes = 0;  // from the device under device_of
  std::string output;            // standard output and error
};

namespace cgroup {

inline std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
inline bool put(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool fine = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return fine;
}
// The value after `key` in lines of "key value"; 0 where there is none.
inline std::uint64_t counted(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  std::string name;
  std::uint64_t value = 0;
  while (lines >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

// Of a device that is named at the start of a line: the number behind `words` there; 0 without.
inline std::uint64_t counted_of_device(const std::string& text, const std::string& device,
                                       const std::string& words) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(words);
    if (!line.starts_with(device + " ") || at == std::string::npos) continue;
    return std::strtoull(line.c_str() + at + words.size(), nullptr, 10);
  }
  return 0;
}

// Where groups with memory limits can be made, and how its files are named.
struct Place {
  std::string memory;  // directory of our own, or the root
  std::string blkio;   // v1 only
  bool v2 = false;
};

// "<mount point>" of the hierarchy, from /proc/self/mountinfo.
inline std::string mount_of(const std::string& type, const std::string& option) {
  std::istringstream lines(text_of("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t dash = line.find(" - " + type + " ");
    if (dash == std::string::npos) continue;
    const std::string options = "," + line.substr(line.rfind(' ') + 1) + ",";
    if (!option.empty() && options.find("," + option + ",") == std::string::npos) continue;
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 5; ++i) words >> word;
    return word;
  }
  return {};
}

inline std::optional<Place> find_place() {
  if (const std::string v1 = mount_of("cgroup", "memory"); !v1.empty()) {
    return Place{v1, mount_of("cgroup", "blkio"), false};
  }
  const std::string v2 = mount_of("cgroup2", "");
  if (v2.empty()) return std::nullopt;
  put(v2 + "/cgroup.subtree_control", "+memory");
  put(v2 + "/cgroup.subtree_control", "+io");
  if (text_of(v2 + "/cgroup.subtree_control").find("memory") == std::string::npos) {
    return std::nullopt;
  }
  return Place{v2, {}, true};
}

// The directories of one group; removed with it.
class Group {
 public:
  explicit Group(const Place& place) : v2_(place.v2) {
    static int number = 0;
    const std::string name =
        "/skein-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
    memory_ = place.memory + name;
    made_ = ::mkdir(memory_.c_str(), 0755) == 0;
    if (!place.blkio.empty()) blkio_ = place.blkio + name;
  }
  ~Group() {
    for (const std::string& path : {memory_, blkio_}) {
      // The kernel lets go of the last process a moment after it was waited for.
      for (int i = 0; i < 100 && !path.empty() && ::rmdir(path.c_str()) != 0; ++i) {
        if (errno != EBUSY) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  bool limit_memory(std::uint64_t bytes) {
    if (!made_) return false;
    const std::string limit = std::to_string(bytes);
    if (v2_) {
      put(memory_ + "/memory.swap.max", "0");
      return put(memory_ + "/memory.max", limit);
    }
    put(memory_ + "/memory.swappiness", "0");
    const bool fine = put(memory_ + "/memory.limit_in_bytes", limit);
    put(memory_ + "/memory.memsw.limit_in_bytes", limit);
    return fine;
  }
  bool watch_reads(std::uint64_t most_per_second, const std::string& device_of) {
    struct stat facts{};
    if (::stat(device_of.c_str(), &facts) != 0) return false;
    device_ = std::to_string(major(facts.st_dev)) + ":" + std::to_string(minor(facts.st_dev));
    const std::string rate = std::to_string(most_per_second);
    if (v2_) {
      return most_per_second == 0 ? ::access((memory_ + "/io.stat").c_str(), F_OK) == 0
                                  : put(memory_ + "/io.max", device_ + " rbps=" + rate);
    }
    if (blkio_.empty() || ::mkdir(blkio_.c_str(), 0755) != 0) return false;
    return most_per_second == 0 ||
           put(blkio_ + "/blkio.throttle.read_bps_device", device_ + " " + rate);
  }
  bool join() const {  // the calling process
    const bool reads =
        blkio_.empty() || ::access(blkio_.c_str(), F_OK) != 0 || put(blkio_ + "/cgroup.procs", "0");
    return reads && put(memory_ + "/cgroup.procs", "0");
  }
  std::uint64_t peak() const {
    std::uint64_t bytes = 0;
    std::istringstream(text_of(memory_ + (v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes"))) >>
        bytes;
    return bytes;
  }
  std::uint64_t bytes_read() const {
    if (v2_) return counted_of_device(text_of(memory_ + "/io.stat"), device_, "rbytes=");
    const std::string file = blkio_ + "/blkio.throttle.io_service_bytes";
    return blkio_.empty() ? 0 : counted_of_device(text_of(file), device_, "Read ");
  }
  bool killed_any() const {
    return counted(text_of(memory_ + (v2_ ? "/memory.events" : "/memory.oom_control")),
                   "oom_kill") > 0;
  }

 private:
  bool v2_;
  bool made_ = false;
  std::string memory_;
  std::string blkio_;
  std::string device_;  // "major:minor", whose reads are counted
};

// Its output until it ends or the deadline has passed.
inline void follow(pid_t child, int output, std::chrono::seconds deadline, CgroupRun& run) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  char some[4096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd ready{.fd = output, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) == 0) {
      run.late = true;
      ::kill(child, SIGKILL);
      break;
    }
    const ssize_t got = ::read(output, some, sizeof some);
    if (got <= 0) break;
    run.output.append(some, static_cast<std::size_t>(got));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace cgroup

inline CgroupRun run_in_cgroup(const CgroupLimits& limits, std::vector<std::string> argv) {
  CgroupRun run;
  const auto place = cgroup::find_place();
  if (!place) {
    run.failure = "no cgroup hierarchy with a memory controller is mounted";
    return run;
  }
  cgroup::Group group(*place);
  if (!group.limit_memory(limits.memory_bytes)) {
    run.failure = "no cgroup can be made in " + place->memory + " (it takes root, or delegation)";
    return run;
  }
  if (!limits.device_of.empty() &&
      !group.watch_reads(limits.read_bytes_per_second, limits.device_of)) {
    run.failure = "the cgroup cannot watch reads of the device under " + limits.device_of;
    return run;
  }
  std::vector<char*> words;
  for (std::string& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    run.failure = "no pipe";
    return run;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    if (!group.join()) ::_exit(126);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  if (child > 0) cgroup::follow(child, ends[0], limits.deadline, run);
  ::close(ends[0]);
  if (child < 0 || run.exit_code == 126 || run.exit_code == 127) {
    run.failure = "the program could not be started in its cgroup: " + argv.front();
  }
  run.peak_bytes = group.peak();
  run.read_bytes = group.bytes_read();
  run.killed = group.killed_any();
  return run;
}

// Empty where run_in_cgroup() works; otherwise a sentence to print.
inline std::optional<std::string> why_no_cgroup() {
  static const std::string kWhy = run_in_cgroup({.memory_bytes = 64U << 20}, {"/bin/true"}).failure;
  if (kWhy.empty()) return std::nullopt;
  return "NOT TESTED HERE, memory limits: " + kWhy;
}

}  // namespace skein::test
