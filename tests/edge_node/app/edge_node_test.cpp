// A whole device over real sockets: HTTP on loopback, a coordinator behind TLS.
#include "edge_node/app/edge_node.h"

#include "tests/edge_node/app/edge_node_world.h"

namespace skein {
namespace {

namespace json = boost::json;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

using EdgeNodeTest = test::EdgeNodeWorld;

TEST_F(EdgeNodeTest, IsHealthyButNotReadyBeforeThereIsASlot) {
  start(config());
  EXPECT_EQ(ask("GET", "/health").status, 200);
  EXPECT_EQ(ask("GET", "/ready").status, 503);
  EXPECT_EQ(ask("GET", "/version").status, 200);
  EXPECT_EQ(ask("GET", "/nothing").status, 404);
  const HttpResponse refused = ask("POST", "/v1/completions", R"({"prompt":"x"})");
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(json::parse(refused.body).at("error").is_object());
  EXPECT_EQ(json::parse(ask("GET", "/v1/models").body).at("data").as_array().size(), 0U);
}

TEST_F(EdgeNodeTest, AnswersFromALocalArtifactWithoutACoordinator) {
  start(config_with_artifact());
  EXPECT_EQ(ask("GET", "/ready").status, 200);
  EXPECT_EQ(json::parse(ask("GET", "/v1/models").body).at("data").at(0).at("id").as_string(),
            "tiny");
  const json::value reply =
      answer("/v1/chat/completions",
             R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":8,"temperature":0})");
  EXPECT_EQ(reply.at("object").as_string(), "chat.completion");
  EXPECT_LE(reply.at("usage").at("completion_tokens").to_number<int>(), 8);
  EXPECT_EQ(complete(), complete());
  EXPECT_GT(metric("skein_tokens_generated_total"), 0);
  EXPECT_GT(metric("skein_time_to_first_token_seconds_count"), 0);
  EXPECT_GT(metric("skein_value_rows_total"), 0);
}

TEST_F(EdgeNodeTest, StreamsTheSameTextAsItAnswersWhole) {
  start(config_with_artifact());
  const std::string whole = complete();
  std::string stream;
  const HttpResponse response =
      ask("POST", "/v1/completions",
          R"({"prompt":"Hello there","max_tokens":20,"temperature":0,"stream":true,)"
          R"("stream_options":{"include_usage":true}})",
          [&stream](std::string_view chunk) {
            stream += chunk;
            return true;
          });
  EXPECT_EQ(response.status, 200);
  const std::vector<json::value> events = events_of(stream);
  EXPECT_EQ(text_of(events), whole);
  EXPECT_TRUE(events.back().as_object().contains("usage"));
}

TEST_F(EdgeNodeTest, AnswersAskedForAtOnceShareTheirPassesAndSayWhatTheyWouldSayAlone) {
  start(config_with_artifact());
  constexpr std::size_t kAsked = 6;
  const auto body = [](std::size_t i, const char* more = "") {
    const std::string number = std::to_string(i);
    return R"({"prompt":"Hello number )" + number + R"(","max_tokens":200,"seed":)" + number +
           more + "}";
  };
  std::vector<std::string> alone;
  for (std::size_t i = 0; i < kAsked; ++i) {
    const json::value reply = answer("/v1/completions", body(i));
    alone.emplace_back(std::string_view(reply.at("choices").at(0).at("text").as_string()));
  }
  const double passes = metric("skein_passes_total");
  EXPECT_GT(metric("skein_pass_rows_total"), passes);

  std::vector<HttpResponse> together(kAsked);
  TaskGroup group(env_.executor);
  const auto ask_at_once = [&](std::size_t i) -> Task<void> {
    HttpCall call;
    call.to = node_->http();
    call.request.method = "POST";
    call.request.path = "/v1/completions";
    call.request.body = body(i, i % 2 == 0 ? "" : R"(,"stream":true)");
    auto response = co_await http_call(env_, std::move(call), env_.clock.now() + 30s);
    EXPECT_TRUE(response);
    if (response) together[i] = *response;
  };
  for (std::size_t i = 0; i < kAsked; ++i) group.spawn(ask_at_once(i));
  real_.run(group.join());
  for (std::size_t i = 0; i < kAsked; ++i) {
    const std::string& said = together[i].body;
    const std::string text =
        i % 2 == 0 ? std::string(json::parse(said).at("choices").at(0).at("text").as_string())
                   : text_of(events_of(said));
    EXPECT_EQ(text, alone[i]);
  }
  // The same tokens in far fewer passes.
  EXPECT_LT(metric("skein_passes_total") - passes, passes / 2);
  EXPECT_GT(metric("skein_pass_sessions_total"), 0);
}

TEST_F(EdgeNodeTest, SeveralChoicesAreTheAnswersThatTheirSeedsGiveAlone) {
  start(config_with_artifact());
  const auto body = [](int seed, const std::string& more) {
    return R"({"prompt":"Hello there","max_tokens":30,"repeat_penalty":1.2,"seed":)" +
           std::to_string(seed) + more + "}";
  };
  std::vector<std::string> alone;
  for (int i = 0; i < 3; ++i) {
    const json::value reply = answer("/v1/completions", body(40 + i, ""));
    alone.emplace_back(std::string_view(reply.at("choices").at(0).at("text").as_string()));
  }
  const double prompt_tokens = metric("skein_prompt_tokens_total") / 3;
  const json::value reply = answer("/v1/completions", body(40, R"(,"n":3)"));
  ASSERT_EQ(reply.at("choices").as_array().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reply.at("choices").at(i).at("index").to_number<std::size_t>(), i);
    EXPECT_EQ(reply.at("choices").at(i).at("text").as_string(), alone[i]);
  }
  EXPECT_EQ(reply.at("usage").at("prompt_tokens").to_number<double>(), prompt_tokens);
  EXPECT_EQ(metric("skein_prompt_tokens_total"), 4 * prompt_tokens);

  std::string stream;
  ask("POST", "/v1/completions", body(40, R"(,"n":3,"stream":true)"), [&](std::string_view chunk) {
    stream += chunk;
    return true;
  });
  const std::vector<json::value> events = events_of(stream);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(text_of(events, static_cast<std::int64_t>(i)), alone[i]);
  }
  // Their grammar is each one's own.
  const json::value bound =
      answer("/v1/completions", body(1, R"(,"n":4,"grammar":"root ::= [0-9]{4}")"));
  for (const json::value& choice : bound.at("choices").as_array()) {
    EXPECT_EQ(choice.at("text").as_string().size(), 4U);
  }
  EXPECT_EQ(metric("skein_answers_running"), 0);
}

TEST_F(EdgeNodeTest, RefusesMoreAnswersThanItHasSeatsFor) {
  start(config_with_artifact());
  ask("POST", "/v1/completions",
      R"({"prompt":"Hello","max_tokens":100000,"seed":1,"stream":true,"n":8})",
      [](std::string_view) { return false; });
  TaskGroup group(env_.executor);
  int busy = 0;
  const auto ask_long = [&]() -> Task<void> {
    HttpCall call;
    call.to = node_->http();
    call.request = {.method = "POST",
                    .path = "/v1/completions",
                    .query = {},
                    .headers = {},
                    .body = R"({"prompt":"Hello","max_tokens":60,"n":8,"logit_bias":{"0":-100}})"};
    const auto response = co_await http_call(env_, std::move(call), env_.clock.now() + 30s);
    EXPECT_TRUE(response);
    if (response && response->status == 503) ++busy;
    EXPECT_TRUE(response && (response->status == 503 || response->status == 200));
  };
  ASSERT_TRUE(soon([&] { return metric("skein_answers_running") == 0; }));
  for (int i = 0; i < 3; ++i) group.spawn(ask_long());  // 24 choices for 16 seats
  real_.run(group.join());
  EXPECT_EQ(busy, 1);
}

TEST_F(EdgeNodeTest, StopsComputingWhenTheAskerGoesAway) {
  start(config_with_artifact());
  ask("POST", "/v1/completions",
      R"({"prompt":"Hello","max_tokens":1000000,"temperature":1,"stream":true,"seed":1})",
      [](std::string_view) { return false; });
  EXPECT_TRUE(soon([&] { return metric("skein_answers_running") == 0; }));
  EXPECT_GT(metric("skein_tokens_generated_total"), 0);
}

TEST_F(EdgeNodeTest, RefusesRequestsThatMakeNoSense) {
  start(config_with_artifact());
  EXPECT_EQ(ask("POST", "/v1/completions", "{").status, 400);
  EXPECT_EQ(ask("POST", "/v1/completions", R"({"prompt":[999999]})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/chat/completions", R"({"messages":[{"role":"cat"}]})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/completions", R"({"prompt":"x","skein":{"split_layer":99}})").status,
            400);
  EXPECT_EQ(ask("POST", "/tokenize", R"({"content":5})").status, 400);
}

TEST_F(EdgeNodeTest, AnswersFollowWhatTheyAreToldToFollow) {
  start(config_with_artifact());
  const auto choice = [&](const std::string& fields) {
    return answer("/v1/completions", R"({"prompt":"Hello","seed":3,)" + fields + "}")
        .at("choices")
        .at(0);
  };
  const json::value said = choice(R"("grammar":"root ::= [0-9]{3} \"!\"")");
  const std::string text(said.at("text").as_string());
  ASSERT_EQ(text.size(), 4U) << text;
  EXPECT_EQ(text.find_first_not_of("0123456789"), 3U) << text;
  EXPECT_EQ(said.at("finish_reason").as_string(), "stop");
  // Cut short, and ending with its last token.
  const json::value cut = choice(R"("grammar":"root ::= [0-9]{3} \"!\"","max_tokens":2)");
  EXPECT_EQ(cut.at("finish_reason").as_string(), "length");
  EXPECT_EQ(
      choice(R"("grammar":"root ::= [0-9]{3}","max_tokens":3)").at("finish_reason").as_string(),
      "stop");

  const std::string schema = R"({"type":"object","properties":{"n":{"type":"integer","minimum":10,
      "maximum":99},"ok":{"type":"boolean"}},"required":["n","ok"]})";
  for (const std::string& fields :
       {R"("response_format":{"type":"json_schema","json_schema":{"schema":)" + schema + "}}",
        R"("response_format":{"type":"json_object","schema":)" + schema + "}",
        R"("json_schema":)" + schema}) {
    const json::value json_said = choice(fields + R"(,"max_tokens":200)");
    ASSERT_EQ(json_said.at("finish_reason").as_string(), "stop") << json_said;
    const json::value parsed = json::parse(json_said.at("text").as_string());
    EXPECT_EQ(parsed.at("n").to_number<int>() / 10 > 0, true);
    EXPECT_TRUE(parsed.at("ok").is_bool());
  }
  const json::value chat = answer("/v1/chat/completions",
                                  R"({"messages":[{"role":"user","content":"hi"}],"seed":1,
                                      "response_format":{"type":"json_object"},"max_tokens":60})");
  EXPECT_TRUE(chat.at("choices").at(0).at("message").at("content").as_string().starts_with("{"));
}

TEST_F(EdgeNodeTest, SaysWhichFieldOfAnAnswersFormIsWrong) {
  start(config_with_artifact());
  const std::pair<const char*, const char*> cases[] = {
      {R"("grammar":"root ::= x")",
       "\"grammar\": the rule \"x\" is not defined (line 1, column 10)"},
      {R"("json_schema":{"not":{}})", "\"json_schema\": the keyword \"not\" is not read (#)"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"x"}}})",
       "\"response_format\": \"type\" must be"},
      {R"("logit_bias":{"99999":1})", "the token 99999 of logit_bias"},
  };
  for (const auto& [fields, sentence] : cases) {
    const HttpResponse refused =
        ask("POST", "/v1/completions", std::string(R"({"prompt":"x",)") + fields + "}");
    EXPECT_EQ(refused.status, 400);
    const json::value body = json::parse(refused.body);
    const std::string message(body.at("error").at("message").as_string());
    EXPECT_NE(message.find(sentence), std::string::npos) << message;
    EXPECT_EQ(body.at("error").at("type").as_string(), "invalid_request_error");
  }
}

TEST_F(EdgeNodeTest, SamplesAsItIsTold) {
  start(config_with_artifact());
  const std::string plain = complete();
  EXPECT_NE(complete(R"(,"presence_penalty":2,"frequency_penalty":2)"), plain);
  EXPECT_NE(complete(R"(,"repeat_penalty":3)"), plain);
  const std::string only = complete(R"(,"logit_bias":{"66":100})");
  EXPECT_EQ(only, std::string(only.size(), 'A'));  // 66 is the byte 65
  EXPECT_EQ(complete(R"(,"top_k":1,"temperature":5)"), plain);
  EXPECT_EQ(complete(R"(,"min_p":1,"temperature":1)"), plain);
}

TEST_F(EdgeNodeTest, TokenizesBothWays) {
  start(config_with_artifact());
  const json::value tokens = answer("/tokenize", R"({"content":"Hello"})");
  json::object back{{"tokens", tokens.at("tokens")}};
  EXPECT_EQ(answer("/detokenize", json::serialize(back)).at("content").as_string(), "Hello");
}

TEST_F(EdgeNodeTest, EnrolsTakesARolloutReportsItAndAnswers) {
  EdgeConfig made = config_with_coordinator();
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  ASSERT_TRUE(soon([&] { return !coordinator_.offer; }));
  EXPECT_EQ(coordinator_.reports.back().step, DeviceStep::kCommitted);
  EXPECT_FALSE(complete().empty());
  EXPECT_EQ(metric("skein_pages_fetched_total"),
            static_cast<double>(base_->manifest().pages.size()));

  coordinator_.offer = UpdateOffer{RolloutId(2), v2_, 1};
  ASSERT_TRUE(soon([&] { return node_->active() == v2_; }));
  ASSERT_TRUE(soon([&] { return coordinator_.heartbeats.back().active == v2_; }));
  EXPECT_EQ(coordinator_.heartbeats.back().previous, v1_);
}

TEST_F(EdgeNodeTest, FinishesARunningAnswerWhenTheSlotChanges) {
  EdgeConfig made = config_with_coordinator();
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  // Answers one after another until a switch falls into one of them.
  bool switched_meanwhile = false;
  for (std::uint64_t rollout = 2; rollout < 40 && !switched_meanwhile; ++rollout) {
    ASSERT_TRUE(soon([&] { return !coordinator_.offer; }));
    const Digest before = *node_->active();
    const Digest next = before == v1_ ? v2_ : v1_;
    coordinator_.offer = UpdateOffer{RolloutId(rollout), next, 1};
    std::string stream;
    bool began_before = false;
    ask("POST", "/v1/completions",
        R"({"prompt":"Hello","max_tokens":20000,"temperature":1,"stream":true})",
        [&](std::string_view chunk) {
          began_before |= stream.empty() && node_->active() == before;
          switched_meanwhile |= began_before && node_->active() == next;
          stream += chunk;
          return true;
        });
    EXPECT_TRUE(stream.ends_with("data: [DONE]\n\n"));
    if (began_before) EXPECT_NE(stream.find(before.hex()), std::string::npos);  // to its end
    ASSERT_TRUE(soon([&] { return node_->active() == next; }));
  }
  EXPECT_TRUE(switched_meanwhile);
}

TEST_F(EdgeNodeTest, SplitAnswersEqualLocalOnesAlsoWhenTheCoordinatorGoes) {
  EdgeConfig made = config_with_coordinator();
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  const std::string local = complete();
  EXPECT_EQ(complete(R"(,"skein":{"split_layer":1})"), local);
  const std::string form = R"(,"grammar":"root ::= [a-z]{4} [0-9]")";
  EXPECT_EQ(complete(form + R"(,"skein":{"split_layer":1})"), complete(form));
  EXPECT_GT(metric("skein_split_steps_total"), 0);
  EXPECT_EQ(metric("skein_split_fallbacks_total"), 0);
  coordinator_.behind.cut_at_step = 15;  // the link dies, the server is gone for good
  coordinator_.stop_listening();
  EXPECT_EQ(complete(R"(,"skein":{"split_layer":1})"), local);
  EXPECT_EQ(metric("skein_split_fallbacks_total"), 1);
}

TEST_F(EdgeNodeTest, TakesPartInARoundOnlyWithConsent) {
  EdgeConfig made = config_with_coordinator();
  made.text = folder_.path() + "/own.txt";
  std::string words;
  for (int i = 0; i < 40; ++i) words += "pallet " + std::to_string(i % 7) + " moved to the gate\n";
  ASSERT_TRUE(real_.run(replace_file(env_.disk, made.text, as_bytes(words))));
  EdgeConfig consenting = made;
  consenting.consent = true;
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  RoundOffer round{.round = RoundId(1), .artifact = v1_, .learning_rate = 0.01F};
  coordinator_.round = round;
  const std::size_t beats = coordinator_.heartbeats.size();
  ASSERT_TRUE(soon([&] { return coordinator_.heartbeats.size() > beats + 5; }));
  EXPECT_FALSE(coordinator_.upload);
  real_.run(node_->stop());
  node_.reset();

  start(std::move(consenting));
  ASSERT_TRUE(soon([&] { return metric("skein_rounds_counted_total") == 1; }));
  EXPECT_EQ(coordinator_.uploaded.size(), coordinator_.upload->bytes);
  EXPECT_LT(coordinator_.upload->loss_after, coordinator_.upload->loss_before);
}

TEST_F(EdgeNodeTest, BootsIntoThePreviousSlotAndMendsADamagedOne) {
  EdgeConfig made = config_with_coordinator();
  const EdgeConfig again = made;
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  coordinator_.offer = UpdateOffer{RolloutId(2), v2_, 1};
  ASSERT_TRUE(soon([&] { return node_->active() == v2_ && !coordinator_.offer; }));
  real_.run(node_->stop());
  node_.reset();

  ChunkStore store(env_.disk, again.data_dir + "/chunks");
  Digest victim;
  for (const PageEntry& page : tuned_->manifest().pages) {
    bool shared = false;
    for (const PageEntry& old : base_->manifest().pages) shared |= old.digest == page.digest;
    if (!shared) victim = page.digest;
  }
  {
    auto file = real_.run(env_.disk.open(store.page_path(victim), OpenMode::kReadWrite)).value();
    const std::byte flipped{0xAA};
    ASSERT_TRUE(real_.run(file->write_at(5, ByteView(&flipped, 1))));
  }
  coordinator_.behind.times_sent.clear();
  start(again);
  EXPECT_TRUE(node_->active() == v1_);
  ASSERT_TRUE(soon([&] { return node_->active() == v2_; }));
  EXPECT_EQ(coordinator_.behind.times_sent.size(), 1U);
  EXPECT_EQ(coordinator_.behind.times_sent[victim], 1);
}

TEST_F(EdgeNodeTest, MendsTheOnlySlotThereIs) {
  const EdgeConfig made = config_with_coordinator();
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(made);
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  real_.run(node_->stop());
  node_.reset();
  const ChunkStore store(env_.disk, made.data_dir + "/chunks");
  const Digest victim = base_->manifest().pages.back().digest;
  std::filesystem::resize_file(store.page_path(victim), 7);
  coordinator_.behind.times_sent.clear();
  start(made);
  EXPECT_FALSE(node_->active());
  ASSERT_TRUE(soon([&] { return node_->active() == v1_; }));
  EXPECT_EQ(coordinator_.behind.times_sent.size(), 1U);
  EXPECT_EQ(coordinator_.behind.times_sent[victim], 1);
}

TEST_F(EdgeNodeTest, StartsWithItsSlotWhenTheCoordinatorIsAway) {
  EdgeConfig made = config_with_coordinator();
  const EdgeConfig again = made;
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  real_.run(node_->drain());
  node_.reset();
  coordinator_.stop_listening();
  start(again);
  EXPECT_EQ(ask("GET", "/ready").status, 200);
  EXPECT_FALSE(complete().empty());
}

}  // namespace
}  // namespace skein
