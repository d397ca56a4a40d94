// RealFleet: a coordinator and one edge as real processes on loopback, with real TLS and SQLite,
// and the admin API in hand. Test support; one thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "common/artifact/artifact_file.h"
#include "common/artifact/slots.h"
#include "common/delta/delta.h"
#include "common/env/real/real_env.h"
#include "common/http/http.h"
#include "tests/integration/program.h"

namespace skein::test {

namespace json = boost::json;

inline std::uint16_t free_port(RealEnv& real) {
  const auto listener = real.env().network.listen({"127.0.0.1", 0}, nullptr);
  return (*listener)->local().port;
}

class RealFleet {
 public:
  RealFleet()
      : directory(std::filesystem::temp_directory_path() /
                  ("skein-fleet-" + std::to_string(getpid()) + "-" + std::to_string(counter()++))),
        device_port(free_port(real)),
        admin_port(free_port(real)),
        edge_port(free_port(real)) {
    std::filesystem::create_directories(directory);
    coordinator = std::make_unique<Program>(
        "skein-coordinator",
        std::vector<std::string>{"--data-dir", path("coordinator"), "--listen", local(device_port),
                                 "--config", path("coordinator.toml")},
        path("coordinator.log"));
    std::ofstream(path("coordinator.toml"))
        << "[admin]\nlisten = \"" << local(admin_port) << "\"\n[devices]\nheartbeat_ms = 100\n";
  }
  ~RealFleet() {
    coordinator->kill_now(SIGKILL);
    if (edge) edge->kill_now(SIGKILL);
    if (!::testing::Test::HasFailure()) std::filesystem::remove_all(directory);
  }

  std::string path(const std::string& name) const { return (directory / name).string(); }
  static std::string local(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

  void start_coordinator() {
    coordinator->start();
    ASSERT_TRUE(until([&] { return get(admin_port, "/ready").status == 200; }, 20))
        << log("coordinator");
  }
  void start_edge() {
    if (!edge) {
      const json::value token = post("/api/v1/tokens", "{}");
      std::ofstream(path("edge.toml"))
          << "[node]\nname = \"robot\"\ndata_dir = \"" << path("edge") << "\"\n[http]\nlisten = \""
          << local(edge_port) << "\"\n[coordinator]\naddress = \"" << local(device_port)
          << "\"\ntoken = \"" << token.at("token").as_string().c_str() << "\"\n";
      edge = std::make_unique<Program>(
          "skein-edge", std::vector<std::string>{"--config", path("edge.toml")}, path("edge.log"));
    }
    edge->start();
  }
  // The models the repository ships; v2 is made from its delta. Returns their files.
  void make_models() {
    const std::string shipped = std::string(SKEIN_SOURCE_DIR) + "/deploy/models/";
    v1_file = shipped + "skein-ref-v1.skein";
    v2_file = path("v2.skein");
    auto base = open_artifact(real.env().disk, v1_file);
    ASSERT_TRUE(base) << to_string(base.error());
    const auto patch = real.env().disk.map(shipped + "skein-ref-v2.patch").value();
    auto target = apply_patch(**base, patch->bytes());
    ASSERT_TRUE(target) << to_string(target.error());
    SignedManifest manifest = (*target)->signed_manifest();
    ASSERT_TRUE(
        real.run(write_signed_artifact(real.env().disk, v2_file, **target, std::move(manifest))));
  }
  // Publishes a file; its digest.
  std::string publish(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    return post("/api/v1/artifacts", bytes).at("digest").as_string().c_str();
  }
  void roll_out(const std::string& digest) {
    post("/api/v1/rollouts", R"({"start":true,"artifact":")" + digest + "\"}");
  }
  // What the coordinator believes the only device runs; "" = nothing.
  std::string reported_active() {
    const json::value devices = json::parse(get(admin_port, "/api/v1/devices").body);
    if (devices.at("devices").as_array().empty()) return "";
    const json::value& active = devices.at("devices").at(0).at("active");
    return active.is_null() ? "" : active.as_string().c_str();
  }
  bool edge_ready() { return get(edge_port, "/ready").status == 200; }

  // With the edge down: what its disk holds must boot, every page checked. What is wrong, or "".
  std::string slot_fault() {
    Disk& disk = real.env().disk;
    ChunkStore store(disk, path("edge") + "/chunks");
    Slots slots(disk, path("edge") + "/slots");
    const auto state = real.run(slots.load());
    if (!state) return to_string(state.error());
    if (!*state) return "";  // before its first commit
    auto pages = real.run(SlotPages::open(store, (*state)->active));
    if (!pages) return to_string(pages.error());
    const auto whole = (*pages)->verify_all();
    return whole ? "" : to_string(whole.error());
  }

  // Restarts the edge without the pages that only its previous artifact used, so that the next
  // update has to fetch them again.
  void forget_previous() {
    edge->kill_now(SIGKILL);
    ChunkStore store(real.env().disk, path("edge") + "/chunks");
    Slots slots(real.env().disk, path("edge") + "/slots");
    const auto state = real.run(slots.load());
    ASSERT_TRUE(state && *state);
    const auto removed = real.run(store.remove_unreferenced({(*state)->active}));
    ASSERT_TRUE(removed) << to_string(removed.error());
    EXPECT_GT(removed->pages, 0U);
    start_edge();
    ASSERT_TRUE(until([&] { return edge_ready(); }, 20)) << log("edge");
  }

  HttpResponse get(std::uint16_t port, const std::string& target) {
    return call(port, "GET", target, "");
  }
  json::value post(const std::string& target, const std::string& body) {
    const HttpResponse response = call(admin_port, "POST", target, body);
    EXPECT_LT(response.status, 300) << target << ": " << response.body;
    boost::system::error_code error;
    return json::parse(response.body, error);
  }
  HttpResponse call(std::uint16_t port, std::string method, std::string target, std::string body) {
    HttpCall request;
    request.to = {"127.0.0.1", port};
    request.request.method = std::move(method);
    request.request.path = std::move(target);
    request.request.headers["authorization"] = "Bearer " + admin_token();
    request.request.headers["content-type"] = "application/json";
    request.request.body = std::move(body);
    const Instant deadline = real.env().clock.now() + std::chrono::seconds(60);
    auto response = real.run(http_call(real.env(), std::move(request), deadline));
    if (response) return std::move(*response);
    HttpResponse none;
    none.status = 599;
    none.body = to_string(response.error());
    return none;
  }
  std::string log(const std::string& who) const {
    std::ifstream in(path(who + ".log"));
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  template <class Condition>
  bool until(Condition holds, int seconds) {
    for (int tries = 0; tries < seconds * 50; ++tries) {
      if (holds()) return true;
      pause(20);
    }
    return false;
  }
  static void pause(unsigned milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  }

  RealEnv real;
  std::filesystem::path directory;
  std::uint16_t device_port, admin_port, edge_port;
  std::unique_ptr<Program> coordinator, edge;
  std::string v1_file, v2_file;

 private:
  static int& counter() {
    static int count = 0;
    return count;
  }
  std::string admin_token() const {
    std::ifstream in(path("coordinator/admin.token"));
    std::string token;
    in >> token;
    return token;
  }
};

}  // namespace skein::test
