// The admin port over a real socket.
#include "common/crypto/sha256.h"
#include "tests/coordinator/support/coordinator_house.h"
#include "tests/support/golden_model.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::CoordinatorHouse;
using test::WireDevice;

TEST(AdminApi, NeedsItsTokenForEverythingBelowApi) {
  CoordinatorHouse house;
  const std::string right = house.token();
  std::string nearly = right;
  nearly.back() = nearly.back() == '0' ? '1' : '0';
  const std::vector<std::string> refused = {
      "", "Bearer", "Bearer ", "Bearer " + nearly, "Basic " + right, "Bearer " + right + "0"};
  for (const std::string& wrong : refused) {
    for (const char* path : {"/api/v1/devices", "/api/v1/nothing"})
      EXPECT_EQ(house.http_as(wrong, "GET", path).status, 401) << wrong;
    EXPECT_EQ(house.http_as(wrong, "POST", "/api/v1/tokens", "{}").status, 401) << wrong;
  }
  EXPECT_EQ(house.http("GET", "/api/v1/devices").status, 200);
}

TEST(AdminApi, TheTokenStaysTheSameAcrossRestartsAndIsForThisUserOnly) {
  CoordinatorHouse house;
  const std::string before = house.token();
  ASSERT_EQ(before.size(), 64U);
  const auto mode = std::filesystem::status(house.coordinator->admin_token_path()).permissions();
  EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
            std::filesystem::perms::none);
  house.restart();
  EXPECT_EQ(house.token(), before);
}

TEST(AdminApi, ProbesMetricsAndDashboardAreOpen) {
  CoordinatorHouse house;
  EXPECT_EQ(house.http_as("", "GET", "/health").status, 200);
  EXPECT_EQ(house.http_as("", "GET", "/ready").status, 200);
  EXPECT_EQ(house.http_as("", "GET", "/version")["version"].as_string(), SKEIN_VERSION);
  const auto page = house.http_as("", "GET", "/");
  EXPECT_NE(page.text.find("<title>Skein coordinator</title>"), std::string::npos);
  EXPECT_EQ(page.text.find("src=\"http"), std::string::npos) << "nothing from elsewhere";
  const auto metrics = house.http_as("", "GET", "/metrics");
  for (const char* line :
       {"skein_devices{state=\"active\"} 0", "skein_rollout_devices{step=\"committed\"} 0",
        "skein_pages_sent_bytes_total 0", "skein_heartbeats_total 0",
        "skein_split_steps_total 0"}) {
    EXPECT_NE(metrics.text.find(line), std::string::npos) << line;
  }
}

TEST(AdminApi, CountsWhatPasses) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  auto sample = test::sample_artifact(1);
  ASSERT_TRUE(device.fetch(house.publish(sample)));
  ASSERT_TRUE(device.beat({}));
  std::uint64_t bytes = 0;
  for (const PageEntry& page : sample.manifest().pages) bytes += page.bytes;
  const std::string text = house.http_as("", "GET", "/metrics").text;
  for (const std::string& line :
       {std::string("skein_devices{state=\"active\"} 1"), std::string("skein_heartbeats_total 1"),
        "skein_pages_sent_bytes_total " + std::to_string(bytes)}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(AdminApi, CountsCodedPagesAsTheyWent) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  const auto pages = test::golden_artifact();
  ASSERT_TRUE(house.publish(*pages) != Digest{});
  FetchPages wanted{.pages = {}, .coded = true};
  for (const PageEntry& page : pages->manifest().pages) wanted.pages.push_back(page.digest);
  PageCoder coder;
  std::uint64_t whole = 0;
  for (std::uint64_t time = 1; time <= 2; ++time) {
    const auto parts = device.stream(wanted);
    ASSERT_TRUE(parts) << to_string(parts.error());
    ASSERT_EQ(parts->size(), wanted.pages.size());
    std::uint64_t sent = 0;
    for (std::size_t i = 0; i < parts->size(); ++i) {
      const auto& [part, payload] = (*parts)[i];
      const auto& header = std::get<PagePart>(part);
      Buffer page = payload;
      if (header.coded) {
        page.resize(pages->manifest().pages[i].bytes);
        ASSERT_TRUE(coder.decode(payload, page));
      }
      EXPECT_EQ(sha256(page), header.page);
      sent += payload.size();
      whole += page.size();
    }
    EXPECT_LT(time * sent, whole);
    const std::string text = house.http_as("", "GET", "/metrics").text;
    const std::string line = "skein_pages_sent_bytes_total " + std::to_string(time * sent);
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(AdminApi, SaysWhatIsWrongWithARequest) {
  CoordinatorHouse house;
  const struct {
    const char* method;
    const char* path;
    const char* body;
    int status;
  } table[] = {
      {"GET", "/api/v1/nothing", "", 404},
      {"GET", "/elsewhere", "", 404},
      {"DELETE", "/api/v1/devices", "", 405},
      {"POST", "/health", "", 405},
      {"GET", "/api/v1/devices/7", "", 404},
      {"GET", "/api/v1/devices/x", "", 404},
      {"POST", "/api/v1/devices/7/revoke", "", 404},
      {"POST", "/api/v1/devices/7/paint", "", 404},
      {"POST", "/api/v1/tokens", "[]", 400},
      {"POST", "/api/v1/tokens", "{\"ttl_seconds\":\"x\"}", 400},
      {"POST", "/api/v1/tokens", "{\"ttl_seconds\":0}", 400},
      {"POST", "/api/v1/rollouts", "{}", 400},
      {"POST", "/api/v1/rollouts", "{\"artifact\":\"abcdef\"}", 404},
      {"POST", "/api/v1/rollouts", "{\"artifact\":7}", 400},
      {"GET", "/api/v1/rollouts/1", "", 404},
      {"POST", "/api/v1/rollouts/1/start", "", 404},
      {"GET", "/api/v1/rounds/1", "", 404},
      {"POST", "/api/v1/rounds", "{}", 400},
      {"POST", "/api/v1/artifacts", "not an artifact", 400},
      {"GET", "/api/v1/artifacts/abcdef", "", 404},
  };
  for (const auto& line : table) {
    const auto reply = house.http(line.method, line.path, line.body);
    EXPECT_EQ(reply.status, line.status) << line.method << " " << line.path << ": " << reply.text;
    ASSERT_TRUE(reply.body.is_object()) << reply.text;
    EXPECT_FALSE(reply["error"].as_object().at("message").as_string().empty());
  }
}

TEST(AdminApi, ARolloutIsOperatedByItsVerbs) {
  CoordinatorHouse house;
  auto sample = test::sample_artifact(1);
  const std::string digest = house.publish(sample).hex();
  const auto made = house.http("POST", "/api/v1/rollouts",
                               "{\"artifact\":\"" + digest.substr(0, 8) + "\",\"start\":true}");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made["state"].as_string(), "running");
  const std::pair<const char*, const char*> verbs[] = {
      {"pause", "paused"}, {"resume", "running"}, {"rollback", "rolled_back"}};
  for (const auto& [verb, state] : verbs) {
    const auto reply = house.http("POST", "/api/v1/rollouts/1/" + std::string(verb));
    EXPECT_EQ(reply["state"].as_string(), state) << verb;
  }
  EXPECT_EQ(house.http("POST", "/api/v1/rollouts/1/start").status, 409);
  EXPECT_EQ(house.http("GET", "/api/v1/rollouts")["rollouts"].as_array().size(), 1U);
}

TEST(AdminApi, AnArtifactMayComeInParts) {
  CoordinatorHouse house;
  auto sample = test::sample_artifact(3);
  const std::string path = house.folder.path("parts.skein");
  ASSERT_TRUE(house.real.run(write_artifact(house.real.env().disk, path, sample, std::nullopt)));
  const std::string bytes = test::file_text(path);
  const auto begun =
      house.http("POST", "/api/v1/uploads", "{\"bytes\":" + std::to_string(bytes.size()) + "}");
  ASSERT_EQ(begun.status, 201) << begun.text;
  const std::string upload = "/api/v1/uploads/" + std::to_string(begun["upload"].as_int64()) + "/";
  EXPECT_EQ(house.http("POST", upload + "7", "gap").status, 409);
  EXPECT_EQ(house.http("POST", upload + "0", bytes.substr(0, 1000)).status, 200);
  EXPECT_EQ(house.http("POST", upload + "finish").status, 409);
  EXPECT_EQ(house.http("POST", upload + "1000", bytes.substr(1000)).status, 200);
  const auto done = house.http("POST", upload + "finish");
  ASSERT_EQ(done.status, 201) << done.text;
  EXPECT_EQ(done["version"].as_string(), "v3");
  EXPECT_EQ(house.http("POST", upload + "finish").status, 404);
  EXPECT_EQ(house.http("POST", "/api/v1/uploads", "{}").status, 400);
}

TEST(AdminApi, DevicesAreLabelledCordonedAndShown) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  const auto labelled =
      house.http("POST", "/api/v1/devices/1/label", "{\"site\":\"dock <b>7</b>\"}");
  EXPECT_EQ(labelled["labels"].as_object().at("site").as_string(), "dock <b>7</b>");
  EXPECT_EQ(house.http("POST", "/api/v1/devices/1/cordon")["state"].as_string(), "cordoned");
  const auto back = house.http("POST", "/api/v1/devices/1/cordon", "{\"cordoned\":false}");
  EXPECT_EQ(back["state"].as_string(), "active");
  EXPECT_EQ(house.http("GET", "/api/v1/devices/1")["id"].as_int64(), 1);
}

}  // namespace
}  // namespace skein
