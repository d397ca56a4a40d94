// How a story goes. Chapters follow each other; each acts through the doors that people use and
// waits until the fleet has done what it should. Misfortune runs beside them until the world is
// calm.
#include "simulations/scenarios/story.h"

#include <boost/json/serialize.hpp>
#include <set>

#include "common/artifact/artifact_file.h"
#include "common/convert/convert.h"
#include "common/env/disk.h"
#include "coordinator/registry/store.h"
#include "simulations/scenarios/internal/known_models.h"
#include "simulations/scenarios/internal/operator_desk.h"
#include "simulations/workload/robot_logs.h"
#include "simulations/workload/tiny_model.h"

namespace skein {
namespace {

namespace json = boost::json;
using story::KnownModels;
using story::OperatorDesk;

constexpr unsigned kHeldOutLines = 24;
constexpr std::uint64_t kMaxStoryFile = 16U << 20;
constexpr Duration kCurtainLimit = std::chrono::minutes(10);  // for everybody to stop
constexpr unsigned kRoundTries = 3;
constexpr Duration kLook =
    std::chrono::seconds(2);  // between two looks at a state that should change

std::shared_ptr<PageSource> make_artifact(std::uint64_t seed, unsigned version) {
  const TinyModel tiny = tiny_model(seed, version);
  ConvertOptions options;
  options.precision = Precision::kQ8;
  options.name = "tiny";
  options.version = "v" + std::to_string(version);
  options.vocabulary = as_bytes(tiny.vocabulary);
  return convert(tiny.checkpoint, options).value();
}

class Teller {
 public:
  Teller(const Scenario& scenario, std::uint64_t seed, World& world, StoryEnd& end)
      : scenario_(scenario),
        seed_(seed),
        world_(world),
        end_(end),
        fleet_(world, scenario),
        slots_(world, places(scenario)),
        rollouts_(fleet_.database()),
        updates_(fleet_.database()),
        misfortunes_(world.executor()) {
    world_.add_checker(slots_);
    world_.add_checker(rollouts_);
    world_.add_checker(updates_);
  }

  // nullopt: the story came to its end.
  Task<void> tell() {
    fleet_.start_coordinator(mixed_robot_log(kHeldOutLines, seed_ + 1000));
    desk_.emplace(world_, fleet_);
    misfortunes_.spawn(fleet_.misfortune());
    co_await enrol();
    co_await deliver(make_artifact(seed_, 1), "deliver");
    co_await chat();
    co_await deliver(make_artifact(seed_, 2), "update");
    co_await split();
    if (scenario_.round_devices > 0) co_await learn();
    co_await misfortunes_.join();
    if (auto wrong = slots_.check_everyone()) violate(*wrong);
    count("slot_checks", static_cast<double>(slots_.checks()));
    count("crashes", static_cast<double>(fleet_.crashes()));
    co_await fleet_.stop();
    if (scenario_.memory_budget_mib > 0) count_block_reads();
    ended_ = true;
  }
  bool ended() const { return ended_; }
  // Ends a story in its middle: what people do first, then the machines.
  Task<void> abandon(TaskGroup& stage) {
    co_await stage.stop();
    co_await misfortunes_.stop();
    co_await fleet_.stop();
    if (scenario_.memory_budget_mib > 0) count_block_reads();
    ended_ = true;
  }
  // The chapter, and what it was waiting for.
  std::string where();

 private:
  static std::vector<SlotPlace> places(const Scenario& scenario) {
    std::vector<SlotPlace> all;
    for (std::uint32_t i = 0; i < scenario.devices; ++i) all.push_back(Fleet::slot_place(i));
    return all;
  }
  void violate(std::string what) { end_.violations.push_back(std::move(what)); }
  void count(const std::string& name, double by) { end_.metrics[name] += by; }
  // What devices that read their weights from storage met there.
  void count_block_reads() {
    for (std::uint32_t i = 0; i < scenario_.devices; ++i) {
      const BlockCounters met = world_.block_counters(Fleet::device_name(i));
      count("block_reads", static_cast<double>(met.reads));
      count("block_reads_failed", static_cast<double>(met.failed + met.cut_short));
      count("block_reads_lied", static_cast<double>(met.lied));
      count("block_reads_stalled", static_cast<double>(met.stalled));
    }
  }
  void begin(const std::string& chapter) {
    if (!chapter_.empty()) end_.metrics[chapter_ + "_seconds"] = since(chapter_began_);
    chapter_ = chapter;
    chapter_began_ = world_.clock().now();
    world_.note("story", "chapter", chapter);
  }
  double since(Instant then) const {
    return std::chrono::duration<double>(world_.clock().now() - then).count();
  }

  Task<void> enrol() {
    begin("enrol");
    for (std::uint32_t i = 0; i < scenario_.devices; ++i) {
      const auto token = co_await desk_->ask("POST", "/api/v1/tokens", "{}");
      if (!token) {
        violate("no enrolment token: " + desk_->refusal());
        co_return;
      }
      std::string log;
      if (i < scenario_.round_devices) log = robot_log(i, scenario_.log_lines, seed_ + i);
      fleet_.start_device(i, std::string(token->at("token").as_string()), std::move(log));
    }
  }

  // Publishes, rolls out, and waits until every device runs it.
  Task<void> deliver(std::shared_ptr<PageSource> pages, std::string chapter) {
    begin(chapter);
    const Digest digest = manifest_digest(encode_manifest(pages->manifest()));
    known_.add(pages);
    Buffer file = co_await story_file(*pages);
    const auto published =
        co_await desk_->ask("POST", "/api/v1/artifacts", std::string(as_text(file)));
    if (!published) {
      violate("the artifact was not published: " + desk_->refusal());
      co_return;
    }
    co_await wait_enrolled();
    const std::string body = json::serialize(json::object{{"artifact", digest.hex()}});
    const auto rollout = co_await desk_->ask("POST", "/api/v1/rollouts", body);
    if (!rollout) {
      violate("the rollout was not created: " + desk_->refusal());
      co_return;
    }
    const std::string path = "/api/v1/rollouts/" + json::serialize(rollout->at("id"));
    (void)co_await desk_->ask("POST", path + "/start", "{}");  // asked twice, it is refused once
    co_await wait_active(digest, path);
  }

  // The .skein bytes as `skein compress` would write them, through a node of its own.
  Task<Buffer> story_file(PageSource& pages) {
    Env env = world_.node_env("desk-" + std::to_string(++files_));
    for (;;) {
      const auto written = co_await write_artifact(env.disk, "/model.skein", pages, std::nullopt);
      if (!written) continue;
      auto bytes = co_await read_file(env.disk, "/model.skein", kMaxStoryFile);
      if (bytes) co_return std::move(*bytes);
    }
  }

  Task<void> wait_enrolled() {
    for (;;) {
      const auto devices = co_await desk_->ask("GET", "/api/v1/devices", "");
      if (devices && devices->at("devices").as_array().size() >= scenario_.devices) co_return;
      co_await world_.clock().sleep_for(kLook);
    }
  }

  Task<void> wait_active(Digest digest, std::string rollout) {
    const Instant began = world_.clock().now();
    for (;;) {
      std::uint32_t arrived = 0;
      for (std::uint32_t i = 0; i < scenario_.devices; ++i) arrived += slots_.active(i) == digest;
      if (arrived == scenario_.devices) break;
      co_await world_.clock().sleep_for(kLook);
      // What failed on the way (a torn link at the wrong moment) is tried again, as an operator
      // would.
      if (since(began) > 120) (void)co_await desk_->ask("POST", rollout + "/retry", "{}");
    }
    // The coordinator has to hear of it before it begins another.
    for (;;) {
      const auto told = co_await desk_->ask("GET", rollout, "");
      if (told && told->at("state").as_string() == "finished") break;
      co_await world_.clock().sleep_for(kLook);
    }
    count("devices_updated", scenario_.devices);
  }

  // Asks one device; judges the answer if one came.
  Task<bool> question(std::uint32_t device, std::uint32_t tokens, std::uint32_t split_layer) {
    const std::string prompt =
        "time=08" + std::to_string(10 + world_.random().below(50)) + " robot";
    json::object body{{"prompt", prompt}, {"max_tokens", tokens}, {"temperature", 0}};
    if (split_layer > 0) body["skein"] = json::object{{"split_layer", split_layer}};
    const auto reply = co_await desk_->complete(device, json::serialize(body));
    if (!reply) co_return false;
    const json::object& notes = reply->at("skein").as_object();
    const std::string artifact(notes.at("artifact").as_string());
    if (!known_.knows(artifact)) {
      violate("device " + std::to_string(device) + " answered from an unknown artifact " +
              artifact);
      co_return true;
    }
    const std::string said(reply->at("choices").at(0).at("text").as_string());
    const std::string meant = known_.continuation(artifact, prompt, tokens);
    if (said != meant) {
      violate("device " + std::to_string(device) + " answered \"" + said +
              "\" where its model says \"" + meant + "\"");
    }
    if (split_layer > 0)
      count(notes.at("fell_back").as_bool() ? "split_fallbacks" : "split_whole", 1);
    co_return true;
  }

  Task<void> chat() {
    begin("chat");
    for (std::uint32_t done = 0; done < scenario_.chats;) {
      const auto device = static_cast<std::uint32_t>(world_.random().below(scenario_.devices));
      if (co_await question(device, scenario_.chat_tokens, 0)) {
        ++done;
        count("chats", 1);
      } else {
        co_await world_.clock().sleep_for(kLook);
      }
    }
  }

  Task<void> split() {
    begin("split");
    for (std::uint32_t done = 0; done < scenario_.splits;) {
      const auto device = static_cast<std::uint32_t>(world_.random().below(scenario_.devices));
      if (done % 2 == 1) misfortunes_.spawn(cut_soon(device));
      if (co_await question(device, scenario_.split_tokens, 1)) {
        ++done;
        count("splits", 1);
      } else {
        co_await world_.clock().sleep_for(kLook);
      }
    }
  }

  Task<void> cut_soon(std::uint32_t device) {
    const std::string name = Fleet::device_name(device);
    const auto wait = static_cast<std::int64_t>(world_.random().below(1500));
    co_await world_.clock().sleep_for(std::chrono::milliseconds(wait));
    world_.cut_link(name, "coordinator");
    world_.reset_streams(name, "coordinator");
    co_await world_.clock().sleep_for(std::chrono::seconds(8));
    world_.heal(name, "coordinator");
  }

  Task<void> learn() {
    begin("round");
    const auto active = slots_.active(0);
    const json::object plan{{"artifact", active->hex()},
                            {"quorum", scenario_.round_devices},
                            {"invite", scenario_.devices},
                            {"seconds", 900},
                            {"learning_rate", 0.05},
                            {"epochs", 2},
                            {"context", 32}};
    for (unsigned tries = 0; tries < kRoundTries; ++tries) {
      const auto opened = co_await desk_->ask("POST", "/api/v1/rounds", json::serialize(plan));
      if (!opened) {
        violate("the round was not opened: " + desk_->refusal());
        co_return;
      }
      const std::string path = "/api/v1/rounds/" + json::serialize(opened->at("id"));
      const auto round = co_await wait_round_end(path);
      if (round.at("state").as_string() == "published") {
        co_await receive_what_was_learned(round);
        co_return;
      }
      world_.note("story", "round failed", std::string(round.at("reason").as_string()));
      if (world_.is_calm() && tries > 0) break;
    }
    violate("no round was published");
  }

  // The API path of the rollout that the coordinator began for what was learned.
  Task<std::string> rollout_of(Digest artifact) {
    for (;;) {
      const auto list = co_await desk_->ask("GET", "/api/v1/rollouts", "");
      if (list) {
        for (const json::value& rollout : list->at("rollouts").as_array()) {
          if (rollout.at("artifact").as_string() == artifact.hex()) {
            co_return "/api/v1/rollouts/" + json::serialize(rollout.at("id"));
          }
        }
      }
      co_await world_.clock().sleep_for(kLook);
    }
  }

  Task<json::object> wait_round_end(std::string path) {
    for (;;) {
      const auto round = co_await desk_->ask("GET", path, "");
      if (round) {
        const auto& state = round->at("state").as_string();
        if (state == "published" || state == "failed") co_return round->as_object();
      }
      co_await world_.clock().sleep_for(kLook);
    }
  }

  Task<void> receive_what_was_learned(json::object round) {
    const auto digest = Digest::from_hex(round.at("result").as_string());
    const double before = round.at("loss_before").to_number<double>();
    const double after = round.at("loss_after").to_number<double>();
    end_.metrics["loss_before"] = before;
    end_.metrics["loss_after"] = after;
    if (!(after < before)) violate("a round was published that is no better");
    const std::string rollout = co_await rollout_of(*digest);
    co_await wait_active(*digest, rollout);
    if (!known_.add_from_slot(world_, Fleet::slot_place(0)))
      violate("what was learned cannot be read");
    begin("tuned_chat");
    std::uint32_t answered = 0;
    while (answered < 3) {
      const auto device = static_cast<std::uint32_t>(world_.random().below(scenario_.devices));
      answered += co_await question(device, scenario_.chat_tokens, 0);
    }
    begin("end");
  }

  const Scenario& scenario_;
  std::uint64_t seed_;
  World& world_;
  StoryEnd& end_;
  Fleet fleet_;
  SlotsAreBootable slots_;
  RolloutsAreConserved rollouts_;
  UpdatesCountOnce updates_;
  KnownModels known_;
  std::optional<OperatorDesk> desk_;
  TaskGroup misfortunes_;
  std::string chapter_;
  Instant chapter_began_{};
  unsigned files_ = 0;
  bool ended_ = false;
};

// Read off the coordinator's tables, outside virtual time: asking must not move the story on.
std::string Teller::where() {
  std::string text = "'" + chapter_ + "' (";
  const auto store = open_sqlite_store(fleet_.database());
  const auto rollouts = store ? (*store)->rollouts() : tl::unexpected(store.error());
  if (!rollouts) return text + to_string(rollouts.error()) + ")";
  for (const RolloutRow& rollout : *rollouts) {
    text += " rollout " + std::to_string(rollout.id.value()) + " of " +
            rollout.artifact.short_hex() + " " + std::string(name_of(rollout.state));
    const auto steps = (*store)->rollout_devices(rollout.id);
    if (!steps) continue;
    for (const RolloutDeviceRow& row : *steps) {
      if (row.step == DeviceStep::kCommitted) continue;
      text += "; device " + std::to_string(row.device.value()) + " " +
              std::string(name_of(row.step)) + " " + row.reason;
    }
  }
  return text + ")";
}

}  // namespace

StoryEnd tell(const Scenario& scenario, std::uint64_t seed, double until_s) {
  StoryEnd end;
  end.seed = seed;
  auto world = std::make_unique<World>(WorldOptions{.seed = seed, .faults = scenario.faults});
  auto teller = std::make_unique<Teller>(scenario, seed, *world, end);
  auto stage = std::make_unique<TaskGroup>(world->executor());
  stage->spawn(teller->tell());
  const double limit = until_s > 0 ? until_s : scenario.until_s;
  const Instant last = Instant(Duration(static_cast<Duration::rep>(limit * 1e9)));
  const auto goes_on = [&] { return !teller->ended() && end.violations.empty(); };
  (void)world->run_while(goes_on, last);
  if (world->violation()) end.violations.push_back(*world->violation());
  if (!teller->ended() && end.violations.empty() && until_s <= 0) {
    end.violations.push_back("the story stood still in its chapter " + teller->where() + " at " +
                             std::to_string(limit) + " s");
  }
  const Instant now = world->clock().now();
  end.virtual_seconds = std::chrono::duration<double>(now.time_since_epoch()).count();
  end.trace_hash = world->trace_hash();
  end.events = world->events();
  if (!end.violations.empty()) end.last_events = world->recent();
  TaskGroup curtain(world->executor());
  if (!teller->ended() && !world->violation()) {
    curtain.spawn(teller->abandon(*stage));
    (void)world->run_while([&] { return curtain.running() > 0; }, now + kCurtainLimit);
  }
  if (!teller->ended()) {
    // A world that a checker stopped cannot be unwound in order; the process is about to end.
    (void)stage.release();
    (void)teller.release();
    (void)world.release();
  }
  return end;
}

}  // namespace skein
