// skein-coordinator: reads its configuration, makes the real Env, runs a Coordinator until a
// signal.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "common/env/real/real_env.h"
#include "common/store/database.h"
#include "coordinator/app/config.h"
#include "coordinator/app/coordinator.h"
#include "kernels/isa/isa.h"

namespace {

using namespace skein;  // a main is nobody's header

struct Flags {
  std::string config, data_dir, listen, log_level, log_format;
  bool check_config = false, version = false, insecure = false;
};

int report(const Error& error) {
  std::cerr << "skein-coordinator: " << to_string(error) << "\n";
  return exit_code(error.code);
}

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("--config", flags.config, "TOML file; see coordinator/app/README.md");
  app.add_option("--data-dir", flags.data_dir, "where everything that must survive lies");
  app.add_option("--listen", flags.listen, "ADDR:PORT of the device port");
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error");
  app.add_option("--log-format", flags.log_format, "text or json");
  app.add_flag("--check-config", flags.check_config, "check the configuration and exit");
  app.add_flag("--version", flags.version, "print the version and exit");
  app.add_flag("--insecure", flags.insecure, "allow an admin port without TLS off the loopback");
}

Result<void> set_given(CoordinatorConfig& config, const Flags& flags) {
  const std::tuple<const char*, const char*, const std::string&> given[] = {
      {"daemon", "data_dir", flags.data_dir},
      {"devices", "listen", flags.listen},
      {"daemon", "log_level", flags.log_level},
      {"daemon", "log_format", flags.log_format}};
  for (const auto& [section, key, value] : given) {
    if (!value.empty()) TRY_VOID(apply_setting(config, section, key, value));
  }
  if (flags.insecure) config.insecure = true;
  return check_config(config);
}

Result<CoordinatorConfig> read_config(const Flags& flags) {
  constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
  CoordinatorConfig config;
  if (!flags.config.empty()) {
    RealEnv reader(RealOptions{1, LogLevel::kError, LogFormat::kText});
    TRY(const Buffer text, reader.run(read_file(reader.env().disk, flags.config, kMaxConfigBytes)));
    TRY_VOID(apply_toml(config, as_text(text), flags.config));
  }
  TRY_VOID(apply_environment(config, [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }));
  TRY_VOID(set_given(config, flags));
  return config;
}

Result<void> serve(const CoordinatorConfig& config) {
  RealEnv real(RealOptions{config.threads,
                           parse_log_level(config.log_level).value_or(LogLevel::kInfo),
                           parse_log_format(config.log_format).value_or(LogFormat::kText)});
  TRY_VOID(real.run(real.env().disk.make_directories(config.data_dir)));
  TRY(const auto database, Database::open_file(join_path(config.data_dir, "coordinator.db")));
  Coordinator coordinator(real.env(), config, *database);
  TRY_VOID(real.run(coordinator.start()));
  TaskGroup ending(real.env().executor);
  const auto end_with = [&](Task<void> (Coordinator::*how)()) {
    auto task = [](RealEnv& env, Task<void> work) -> Task<void> {
      co_await std::move(work);
      env.stop();
    };
    ending.spawn(task(real, (coordinator.*how)()));
  };
  real.on_signals([&] { end_with(&Coordinator::drain); }, [&] { end_with(&Coordinator::stop); });
  real.run();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Skein's coordinator: enrols devices, rolls artifacts out, serves layers, runs rounds");
  Flags flags;
  add_flags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (flags.version) {
    std::cout << "skein-coordinator " << SKEIN_VERSION << "\n";
    return 0;
  }
  const auto config = read_config(flags);
  if (!config) return report(config.error());
  if (flags.check_config) {
    std::cout << "the configuration is sound\n";
    return 0;
  }
  const char* isa = std::getenv("SKEIN_ISA");
  if (const auto chosen = select_isa(isa == nullptr ? "" : isa); !chosen)
    return report(chosen.error());
  const auto served = serve(*config);
  return served ? 0 : report(served.error());
}
