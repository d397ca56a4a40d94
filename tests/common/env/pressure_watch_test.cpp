// What the kernel tells of pressure by itself.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/env/real/internal/real_pressure.h"
#include "common/env/real/real_env.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

TEST(PressureWatch, LeavesOutWhatIsAbsentOrTakesNoTrigger) {
  boost::asio::io_context loop;
  const std::string plain = fs::temp_directory_path() / ("skein-plain-" + std::to_string(getpid()));
  std::ofstream(plain) << "some avg10=0.00";
  real::PressureWatch watch(loop);
  int told = 0;
  watch.start({{"/nowhere/memory.pressure", "some 200000 2000000"},
               {"/proc/self/status", "some 200000 2000000"},
               {plain, ""}},
              [&told] { ++told; });
  EXPECT_LE(watch.watched(), 1U);
  loop.run();  // a plain file never has news: nothing is waited for
  EXPECT_EQ(told, 0);
  watch.stop();
  EXPECT_EQ(watch.watched(), 0U);
  fs::remove(plain);
}

// A group of control group v2: its cgroup.events has news as memory.events would.
TEST(PressureWatch, IsToldOfNewsAndAgainOfMoreUntilItIsStopped) {
  const std::string name = "/skein-watch-" + std::to_string(getpid());
  std::string group;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    if (!fs::exists(std::string(root) + "/cgroup.controllers")) continue;
    std::error_code error;
    if (fs::create_directory(root + name, error)) group = root + name;
  }
  if (group.empty()) GTEST_SKIP() << "no control group of version 2 can be made here";
  boost::asio::io_context loop;
  real::PressureWatch watch(loop);
  int told = 0;
  watch.start({{group + "/cgroup.events", ""}}, [&told] { ++told; });
  ASSERT_EQ(watch.watched(), 1U);
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  std::ofstream(group + "/cgroup.procs") << child;
  const auto until_told = [&](int times) {
    for (int i = 0; i < 200 && told < times; ++i) loop.run_one_for(std::chrono::milliseconds(50));
  };
  until_told(1);
  EXPECT_EQ(told, 1);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  until_told(2);
  EXPECT_GE(told, 2);
  watch.stop();
  loop.restart();
  loop.run();  // nothing is waited for
  fs::remove(group);
}

TEST(PressureWatch, TheRealGaugeListensAndLetsTheLoopEnd) {
  RealEnv real({.compute_threads = 1});
  Env env = real.env();
  env.pressure.on_pressure([] {});
  real.run(env.clock.sleep_for(std::chrono::milliseconds(5)));
  env.pressure.on_pressure({});
  real.run();
}

}  // namespace
}  // namespace skein
