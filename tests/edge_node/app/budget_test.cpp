// A device under a memory budget smaller than its model: it says what it would say with all of it
// in memory, while the budget changes, while slots are exchanged, and while storage rots.
#include <filesystem>

#include "kernels/isa/isa.h"
#include "tests/edge_node/app/edge_node_world.h"
#include "tests/edge_node/spoken_pages.h"
#include "tests/support/forwarding_disk.h"
#include "tests/support/planted_pressure.h"

namespace skein {
namespace {

namespace json = boost::json;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using test::SpokenPages;

constexpr ModelConfig kShape = {
    .layers = 2, .width = 512, .heads = 8, .head_size = 64, .ffn_width = 2048, .vocab = 300};

// A disk on which so much is free.
class CrowdedDisk final : public test::ForwardingDisk {
 public:
  using ForwardingDisk::ForwardingDisk;
  Result<std::uint64_t> free_bytes(const std::string&) override { return free; }
  std::uint64_t free = std::uint64_t{1} << 40;
};

// The reason of every event that has one.
class HeardLog final : public Log {
 public:
  void write(LogLevel, std::string_view event, LogFields fields) override {
    for (const LogField& field : fields) {
      if (field.key == "reason") reasons[std::string(event)] = field.value;
    }
  }
  std::map<std::string, std::string> reasons;
};

class EdgeNodeUnderABudget : public test::EdgeNodeWorld {
 protected:
  static constexpr int kPrompts = 5;

  EdgeNodeUnderABudget() : EdgeNodeWorld(test::quick_folder()) { EXPECT_TRUE(select_isa("")); }

  EdgeConfig config_with(SpokenPages& pages) {
    const std::string path = folder_.path() + "/" + pages.manifest().version + ".skein";
    EXPECT_TRUE(real_.run(write_artifact(env_.disk, path, pages, std::nullopt)));
    EdgeConfig made = config();
    made.artifact = path;
    return made;
  }
  EdgeConfig published(SpokenPages& pages) {
    coordinator_.listen();
    v1_ = coordinator_.behind.publish(pages, test::kArtifactKey);
    coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
    EdgeConfig made = config();
    made.address = to_string(coordinator_.endpoint());
    made.token = coordinator_.token();
    return made;
  }
  Result<void> try_start(EdgeConfig config) {
    node_ = std::make_unique<EdgeNode>(pressed_, std::move(config));
    return real_.run(node_->start());
  }
  void start_within(EdgeConfig config, std::uint64_t budget) {
    config.memory_budget = budget;
    const auto started = try_start(std::move(config));
    ASSERT_TRUE(started) << to_string(started.error());
  }
  void stop() {
    real_.run(node_->stop());
    node_.reset();
  }
  // What the device says is the smallest.
  std::uint64_t smallest(EdgeConfig config) {
    config.memory_budget = 1 << 20;
    config.data_dir = folder_.path() + "/small";
    const auto refused = try_start(std::move(config));
    node_.reset();
    EXPECT_FALSE(refused);
    EXPECT_EQ(exit_code(refused.error().code), 6);
    const std::string words = to_string(refused.error());
    EXPECT_NE(words.find("([node] memory_budget): give at least "), std::string::npos) << words;
    return std::stoull(words.substr(words.find("at least ") + 9)) << 20U;
  }
  static std::string body(int i) {
    return R"({"prompt":"Hello number )" + std::to_string(i) +
           R"( there and back","max_tokens":16,"seed":)" + std::to_string(i) + "}";
  }
  std::vector<std::string> answers() {
    std::vector<std::string> texts;
    for (int i = 0; i < kPrompts; ++i) {
      const json::value reply = answer("/v1/completions", body(i));
      texts.emplace_back(std::string_view(reply.at("choices").at(0).at("text").as_string()));
    }
    return texts;
  }
  // All at once, while `meanwhile` runs on the same loop.
  std::vector<std::string> answers_at_once(std::function<Task<void>()> meanwhile = {}) {
    std::vector<std::string> texts(kPrompts);
    TaskGroup group(env_.executor);
    const auto ask_one = [&](int i) -> Task<void> {
      HttpCall call;
      call.to = node_->http();
      call.request.method = "POST";
      call.request.path = "/v1/completions";
      call.request.body = body(i);
      const auto response = co_await http_call(env_, std::move(call), env_.clock.now() + 60s);
      if (!response || response->status != 200) {
        texts[static_cast<std::size_t>(i)] =
            response ? response->body : to_string(response.error());
        co_return;
      }
      texts[static_cast<std::size_t>(i)] =
          json::parse(response->body).at("choices").at(0).at("text").as_string();
    };
    for (int i = 0; i < kPrompts; ++i) group.spawn(ask_one(i));
    if (meanwhile) group.spawn(meanwhile());
    real_.run(group.join());
    return texts;
  }
  std::vector<std::string> answers_of_the_whole(SpokenPages& pages) {
    EdgeConfig whole = config_with(pages);
    whole.data_dir = folder_.path() + "/whole";
    EXPECT_TRUE(try_start(std::move(whole)));
    std::vector<std::string> texts = answers();
    stop();
    return texts;
  }
  bool becomes(double value, const std::string& name) {
    return soon([&] { return metric(name) >= value; });
  }
  // Turns a byte of a page in the middle of every matrix there is, in the file that passes read
  // and, if asked, in the store.
  void rot(const SpokenPages& pages, bool in_store) {
    const std::string data = folder_.path() + "/data";
    const std::string file = data + "/paged/" + pages.digest().hex() + ".skein";
    const auto artifact = open_artifact(env_.disk, file);
    ASSERT_TRUE(artifact);
    for (const TensorEntry& tensor : pages.manifest().tensors) {
      if (tensor.rows < 1000) continue;
      const std::uint32_t page = tensor.segments[tensor.segments.size() / 2].page;
      flip(file, (*artifact)->page_offsets()[page] + 5);
      const std::string name = pages.manifest().pages[page].digest.hex();
      if (in_store) flip(data + "/chunks/pages/" + name.substr(0, 2) + "/" + name, 5);
    }
  }
  static void flip(const std::string& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file.good()) << path;
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  test::PlantedPressure gauge_;
  CrowdedDisk disk_{env_.disk};
  HeardLog log_;
  Env pressed_{env_.executor, env_.clock,   env_.network, disk_,
               env_.random,   env_.compute, log_,         gauge_};
  SpokenPages first_{kShape, 1};
};

TEST_F(EdgeNodeUnderABudget, SaysTheSmallestThatWorksAndWorksInIt) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  const std::uint64_t least = smallest(config_with(first_));
  start_within(config_with(first_), least);
  EXPECT_EQ(answers(), expected);
  EXPECT_GT(metric("skein_pager_hits_total") + metric("skein_pager_misses_total"), 0);
  EXPECT_GT(metric("skein_pager_read_bytes_total"), 0);
  EXPECT_EQ(metric("skein_memory_budget_bytes"), static_cast<double>(least));
  EXPECT_EQ(metric("skein_pager_mended_pages_total"), 0);
}

TEST_F(EdgeNodeUnderABudget, SessionsShareThePagerAndSayWhatTheyWouldSayOfAWholeModel) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  start_within(config_with(first_), smallest(config_with(first_)) + (4 << 20));
  const double passes = metric("skein_passes_total");
  EXPECT_EQ(answers_at_once(), expected);
  EXPECT_LT(metric("skein_passes_total") - passes, 17 * kPrompts);
  EXPECT_GT(metric("skein_pager_misses_total"), 0);
}

TEST_F(EdgeNodeUnderABudget, TakesAnUpdateAndStillAnswers) {
  SpokenPages second(kShape, 77);
  const std::vector<std::string> of_first = answers_of_the_whole(first_);
  const std::vector<std::string> of_second = answers_of_the_whole(second);
  ASSERT_NE(of_first, of_second);
  const std::uint64_t least = smallest(config_with(first_));
  start_within(published(first_), least + (4 << 20));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  EXPECT_EQ(answers(), of_first);
  // Answers that began before the switch end on the model that they began on.
  v2_ = coordinator_.behind.publish(second, test::kArtifactKey);
  const auto update = [&]() -> Task<void> {
    coordinator_.offer = UpdateOffer{RolloutId(2), v2_, 2};
    for (int i = 0; i < 500 && node_->active() != v2_; ++i) co_await env_.clock.sleep_for(10ms);
  };
  EXPECT_EQ(answers_at_once(update), of_first);
  ASSERT_TRUE(soon([&] { return node_->active() == v2_; }));
  EXPECT_EQ(answers(), of_second);
  // Back again, as a rollback is an offer of what was before.
  coordinator_.offer = UpdateOffer{RolloutId(3), v1_, 3};
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  EXPECT_EQ(answers(), of_first);
  const auto files = real_.run(env_.disk.list(folder_.path() + "/data/paged"));
  ASSERT_TRUE(files);
  EXPECT_EQ(files->size(), 1U);
}

TEST_F(EdgeNodeUnderABudget, SaysAtItsStartThatUpdatesWillNotFitAndHowMuchWouldDo) {
  EdgeConfig config = published(first_);
  const std::uint64_t least = smallest(config_with(first_));
  start_within(config, least - (std::uint64_t{1} << 19));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  stop();  // it learns of its model only then
  start_within(config, least - (std::uint64_t{1} << 19));
  const std::string reason = log_.reasons["updates will not fit"];
  const std::size_t at = reason.find("([node] memory_budget): give at least ");
  ASSERT_NE(at, std::string::npos) << reason;
  stop();
  log_.reasons.clear();
  start_within(config, std::stoull(reason.substr(at + 38)) << 20U);
  EXPECT_FALSE(log_.reasons.contains("updates will not fit")) << log_.reasons.begin()->second;
  SpokenPages second(kShape, 77);
  v2_ = coordinator_.behind.publish(second, test::kArtifactKey);
  coordinator_.offer = UpdateOffer{RolloutId(2), v2_, 2};
  EXPECT_TRUE(soon([&] { return node_->active() == v2_; }));
}

TEST_F(EdgeNodeUnderABudget, GivesMemoryBackUnderPressureAndTakesItAgainWithoutLosingAToken) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  const std::uint64_t least = smallest(config_with(first_));
  const std::uint64_t budget = 2 * least;
  gauge_.now.available_bytes = std::uint64_t{4} << 30;
  start_within(config_with(first_), budget);
  EXPECT_EQ(answers_at_once(), expected);
  gauge_.now.heat = Heat::kHot;
  ASSERT_TRUE(becomes(1, "skein_memory_shrunk_total"));
  const double hot = metric("skein_memory_budget_bytes");
  EXPECT_LT(hot, static_cast<double>(budget));
  EXPECT_GE(hot, static_cast<double>(budget) * 0.7);
  EXPECT_EQ(answers_at_once(), expected);
  // The kernel killed for memory in the group: the floor, while answers run.
  gauge_.now.group = GroupMemory{budget, budget / 2, 0, 0};
  real_.run(env_.clock.sleep_for(1100ms));
  const auto kill = [&]() -> Task<void> {
    gauge_.now.group->oom_kills = 1;
    co_await env_.clock.sleep_for(1100ms);
  };
  EXPECT_EQ(answers_at_once(kill), expected);
  ASSERT_TRUE(becomes(2, "skein_memory_shrunk_total"));
  EXPECT_LT(metric("skein_memory_budget_bytes"), hot);
  EXPECT_EQ(answers_at_once(), expected);
}

TEST_F(EdgeNodeUnderABudget, MendsAPageOfItsFileFromItsStoreInTheMiddleOfAnswers) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  start_within(config_with(first_), smallest(config_with(first_)) + (4 << 20));
  const auto damage = [&]() -> Task<void> {
    co_await env_.clock.sleep_for(30ms);
    rot(first_, false);
  };
  EXPECT_EQ(answers_at_once(damage), expected);
  EXPECT_EQ(answers_at_once(), expected);
  EXPECT_GT(metric("skein_pager_mended_pages_total"), 0);
}

TEST_F(EdgeNodeUnderABudget, FetchesABadPageFromItsCoordinatorInTheMiddleOfAnAnswer) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  const std::uint64_t least = smallest(config_with(first_));
  start_within(published(first_), least);
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  const std::uint64_t sent = coordinator_.behind.page_bytes_sent;
  rot(first_, true);
  EXPECT_EQ(answers(), expected);
  EXPECT_GT(metric("skein_pager_mended_pages_total"), 0);
  EXPECT_GT(coordinator_.behind.page_bytes_sent, sent);
  // Written back: nothing is fetched again.
  const std::uint64_t after = coordinator_.behind.page_bytes_sent;
  EXPECT_EQ(answers(), expected);
  EXPECT_EQ(coordinator_.behind.page_bytes_sent, after);
}

TEST_F(EdgeNodeUnderABudget, WithoutACoordinatorASessionEndsAtABadPageWhichIsNamed) {
  start_within(config_with(first_), smallest(config_with(first_)));
  EXPECT_EQ(answers().size(), kPrompts);
  rot(first_, true);
  const HttpResponse said = ask("POST", "/v1/completions", body(0));
  EXPECT_EQ(said.status, 500);
  EXPECT_NE(said.body.find("page "), std::string::npos) << said.body;
  EXPECT_NE(said.body.find("does not match its hash"), std::string::npos) << said.body;
}

TEST_F(EdgeNodeUnderABudget, LaysItsFileOutAnewWhenItIsNoLongerWhole) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  start_within(config_with(first_), smallest(config_with(first_)));
  const std::string file = folder_.path() + "/data/paged/" + first_.digest().hex() + ".skein";
  std::filesystem::resize_file(file, 100'000);
  EXPECT_EQ(answers(), expected);
}

TEST_F(EdgeNodeUnderABudget, AloneItSaysWhatIsMissingOnAFullDiskAndEnds) {
  EdgeConfig config = config_with(first_);
  config.memory_budget = smallest(config_with(first_));
  disk_.free = 1000;
  const auto refused = try_start(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(exit_code(refused.error().code), 6);
  EXPECT_NE(refused.error().what.find("bytes too few"), std::string::npos) << refused.error().what;
  node_.reset();
  disk_.free = std::uint64_t{1} << 40;
  start_within(config, config.memory_budget);
  stop();
  // Installed before, its file gone: the slot is whole all the same.
  std::filesystem::remove_all(folder_.path() + "/data/paged");
  disk_.free = 1000;
  const auto again = try_start(config);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), refused.error());
  node_.reset();
  disk_.free = std::uint64_t{1} << 40;
  start_within(config, config.memory_budget);
  EXPECT_EQ(answers().size(), kPrompts);
}

TEST_F(EdgeNodeUnderABudget, WithACoordinatorItWaitsForRoomOnAFullDisk) {
  const std::uint64_t least = smallest(config_with(first_));
  const EdgeConfig config = published(first_);
  start_within(config, least);
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  const std::vector<std::string> expected = answers();
  const std::uint64_t sent = coordinator_.behind.page_bytes_sent;
  stop();
  std::filesystem::remove_all(folder_.path() + "/data/paged");
  disk_.free = 1000;
  start_within(config, least);
  EXPECT_EQ(ask("GET", "/ready").status, 503);
  EXPECT_EQ(ask("GET", "/health").status, 200);
  disk_.free = std::uint64_t{1} << 40;
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  EXPECT_EQ(answers(), expected);
  EXPECT_EQ(coordinator_.behind.page_bytes_sent, sent);
}

TEST_F(EdgeNodeUnderABudget, TakesPartInARoundIfThereIsMemoryForItAndElseSaysHowMuchWouldDo) {
  const std::vector<std::string> expected = answers_of_the_whole(first_);
  const std::uint64_t least = smallest(config_with(first_));
  EdgeConfig config = published(first_);
  config.text = folder_.path() + "/own.txt";
  config.consent = true;
  std::string words;
  for (int i = 0; i < 40; ++i) words += "pallet " + std::to_string(i % 7) + " moved to the gate\n";
  ASSERT_TRUE(real_.run(replace_file(env_.disk, config.text, as_bytes(words))));
  coordinator_.round =
      RoundOffer{.round = RoundId(1), .artifact = v1_, .learning_rate = 0.01F, .max_tokens = 128};
  const auto takes_part = [&](const EdgeConfig& how) {
    coordinator_.upload.reset();
    coordinator_.uploaded.clear();
    std::filesystem::remove_all(how.data_dir + "/rounds");
    EXPECT_TRUE(try_start(how));
    EXPECT_TRUE(soon([&] { return node_->active() == v1_; }));
    const std::vector<std::string> said = answers_at_once();
    EXPECT_EQ(said, expected);
    EXPECT_TRUE(becomes(1, "skein_rounds_counted_total")) << log_.reasons["round not joined"];
    EXPECT_EQ(answers_at_once(), expected);
    stop();
    return coordinator_.uploaded;
  };
  const Buffer update = takes_part(config);
  std::filesystem::remove_all(config.data_dir + "/rounds");

  config.memory_budget = least + (2 << 20);
  ASSERT_TRUE(try_start(config));
  ASSERT_TRUE(soon([&] { return log_.reasons.contains("round not joined"); }));
  const std::string reason = log_.reasons["round not joined"];
  EXPECT_TRUE(reason.starts_with("training: ")) << reason;
  const std::size_t at = reason.find("([node] memory_budget): give at least ");
  ASSERT_NE(at, std::string::npos) << reason;
  EXPECT_EQ(answers(), expected);
  stop();

  config.memory_budget = std::stoull(reason.substr(at + 38)) << 20U;
  EXPECT_GT(config.memory_budget, least + (25U << 20U)) << "the weights as floats alone";
  EXPECT_LT(config.memory_budget, 8 * least);
  EXPECT_EQ(takes_part(config), update);
}

}  // namespace
}  // namespace skein
