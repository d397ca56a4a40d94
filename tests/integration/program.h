// Program: one of our own programs as a real process, for tests that kill it. Test support; one
// thread.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace skein::test {

// Where the build put the programs: beside the test binary, or what SKEIN_BUILD_DIR says.
inline std::string program_path(const std::string& name) {
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof self);
  const std::string path(self, static_cast<std::size_t>(size > 0 ? size : 0));
  return path.substr(0, path.rfind('/') + 1) + name;
}

class Program {
 public:
  Program(std::string name, std::vector<std::string> arguments, std::string log)
      : name_(std::move(name)), arguments_(std::move(arguments)), log_(std::move(log)) {}
  ~Program() { kill_now(SIGKILL); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void start() {
    const std::string path = program_path(name_);
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (std::string& argument : arguments_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  bool running() {
    if (pid_ <= 0) return false;
    if (waitpid(pid_, &status_, WNOHANG) == 0) return true;
    pid_ = -1;
    return false;
  }
  // Returns what waitpid said.
  int kill_now(int signal) {
    if (pid_ <= 0) return status_;
    ::kill(pid_, signal);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
    return status_;
  }

 private:
  std::string name_;
  std::vector<std::string> arguments_;
  std::string log_;
  pid_t pid_ = -1;
  int status_ = 0;
};

// A whole run: its exit code, what it printed, what it complained of.
struct RunResult {
  int exit_code = -1;
  std::string out, err;
};
RunResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                      const std::string& directory, const std::string& input = "");

}  // namespace skein::test
