// Sessions that outlive their answers, over real HTTP: kept, exported, imported, branched.
#include "edge_node/app/internal/state_api.h"

#include "tests/edge_node/app/edge_node_world.h"

namespace skein {
namespace {

namespace json = boost::json;

class StateApiTest : public test::EdgeNodeWorld {
 protected:
  std::string say(const std::string& prompt, const std::string& fields) {
    const json::value reply = answer(
        "/v1/completions", R"({"prompt":")" + prompt + R"(","temperature":0,)" + fields + "}");
    if (!reply.is_object()) return "no reply";
    return std::string(reply.at("choices").at(0).at("text").as_string());
  }
  std::string exported(const std::string& name) {
    const HttpResponse response = ask("GET", "/v1/state/" + name);
    EXPECT_EQ(response.status, 200) << response.body;
    return response.body;
  }
  std::string refused(HttpResponse response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    const json::value body = json::parse(response.body);
    return std::string(body.at("error").at("message").as_string());
  }
};

TEST_F(StateApiTest, ASessionGoesOnWhereItsLastAnswerEnded) {
  start(config_with_artifact());
  const std::string whole = say("Hello there robot", R"("max_tokens":30)");
  // The same text in three requests, the first of which only reads.
  EXPECT_EQ(say("Hello", R"("max_tokens":0,"session":"talk")"), "");
  const std::string first = say(" there robot", R"("max_tokens":10,"session":"talk")");
  EXPECT_EQ(first, whole.substr(0, first.size()));
  const json::value list = json::parse(ask("GET", "/v1/state").body);
  ASSERT_EQ(list.at("data").as_array().size(), 1U);
  EXPECT_EQ(list.at("data").at(0).at("id").as_string(), "talk");
  EXPECT_EQ(metric("skein_kept_states"), 1);
}

TEST_F(StateApiTest, AnExportedStateContinuesToTheSameBitsOnAnotherDevice) {
  start(config_with_artifact());
  say("Hello there", R"("max_tokens":12,"session":"talk")");
  const std::string bytes = exported("talk");
  const std::string here = say(" and then", R"("max_tokens":25,"session":"talk")");
  const std::string after_here = exported("talk");
  EXPECT_NE(bytes, after_here);
  real_.run(node_->stop());
  node_.reset();

  EdgeConfig other = config_with_artifact();
  other.data_dir = folder_.path() + "/another device";
  start(std::move(other));
  EXPECT_EQ(ask("GET", "/v1/state/moved").status, 404);
  const json::value taken = json::parse(ask("PUT", "/v1/state/moved", bytes).body);
  EXPECT_EQ(taken.at("id").as_string(), "moved");
  EXPECT_EQ(exported("moved"), bytes);
  EXPECT_EQ(say(" and then", R"("max_tokens":25,"session":"moved")"), here);
  EXPECT_EQ(exported("moved"), after_here);
  // And the tool's state files are the same form.
  const auto state = RwkvState::restore(as_bytes(after_here), base_->manifest().config,
                                        manifest_digest(encode_manifest(base_->manifest())));
  ASSERT_TRUE(state) << to_string(state.error());
  EXPECT_EQ(state->step.value(), taken.at("tokens").to_number<std::uint64_t>() + 9 + 25);
}

TEST_F(StateApiTest, BranchesGoTheirOwnWays) {
  start(config_with_artifact());
  say("Hello", R"("max_tokens":5,"session":"trunk")");
  const std::string before = exported("trunk");
  EXPECT_EQ(ask("POST", "/v1/state/trunk/branch", R"({"to":"twig"})").status, 200);
  EXPECT_EQ(exported("twig"), before);
  const std::string said = say(" left", R"("max_tokens":9,"session":"twig")");
  EXPECT_EQ(exported("trunk"), before);
  EXPECT_EQ(say(" left", R"("max_tokens":9,"session":"trunk")"), said);
  EXPECT_EQ(exported("trunk"), exported("twig"));
  EXPECT_NE(refused(ask("POST", "/v1/state/trunk/branch", R"({"to":"twig"})"), 409).find("twig"),
            std::string::npos);
  EXPECT_EQ(ask("DELETE", "/v1/state/twig").status, 200);
  EXPECT_EQ(ask("DELETE", "/v1/state/twig").status, 404);
  EXPECT_EQ(ask("GET", "/v1/state/twig").status, 404);
}

TEST_F(StateApiTest, AChatGoesOnWithOnlyItsNewTurn) {
  start(config_with_artifact());
  const auto chat = [&](const std::string& messages, const std::string& more) {
    const json::value reply =
        answer("/v1/chat/completions",
               R"({"messages":[)" + messages + R"(],"temperature":0)" + more + "}");
    return std::string(reply.at("choices").at(0).at("message").at("content").as_string());
  };
  // The answer is told to be one token a byte, so that the whole conversation tokenizes the same.
  const std::string hi = R"({"role":"user","content":"hi"})";
  const std::string more = R"({"role":"user","content":"more"})";
  const std::string form = R"(,"grammar":"root ::= \" \" [0-9]{3}")";
  const std::string first = chat(hi, form + R"(,"session":"chat")");
  ASSERT_EQ(first.size(), 3U);
  const std::string said = R"({"role":"assistant","content":")" + first + R"("})";
  EXPECT_EQ(chat(more, R"(,"max_tokens":20,"session":"chat")"),
            chat(hi + "," + said + "," + more, R"(,"max_tokens":20)"));
}

TEST_F(StateApiTest, RefusesWhatIsNoStateOfThisModel) {
  start(config_with_artifact());
  say("Hello", R"("max_tokens":3,"session":"talk")");
  const std::string good = exported("talk");
  EXPECT_NE(refused(ask("PUT", "/v1/state/x", "nonsense"), 400).find("saved state"),
            std::string::npos);
  EXPECT_NE(
      refused(ask("PUT", "/v1/state/x", good.substr(0, good.size() - 4)), 400).find("checksum"),
      std::string::npos);
  std::string flipped = good;
  flipped[200] = static_cast<char>(flipped[200] ^ 1);
  EXPECT_NE(refused(ask("PUT", "/v1/state/x", flipped), 400).find("checksum"), std::string::npos);
  std::string newer = good;
  newer[4] = 2;
  EXPECT_NE(refused(ask("PUT", "/v1/state/x", newer), 422).find("version"), std::string::npos);
  const RwkvState state = RwkvState::restore(as_bytes(good), base_->manifest().config,
                                             manifest_digest(encode_manifest(base_->manifest())))
                              .value();
  const Buffer others = state.save(Digest{});
  EXPECT_NE(
      refused(ask("PUT", "/v1/state/x", std::string(as_text(others))), 409).find("another model"),
      std::string::npos);
  EXPECT_EQ(ask("GET", "/v1/state/x").status, 404);
  EXPECT_EQ(ask("PUT", "/v1/state/a%20b", good).status, 400);
  EXPECT_EQ(ask("PATCH", "/v1/state/talk", good).status, 405);
  EXPECT_EQ(ask("POST", "/v1/state/talk/branch", "{}").status, 400);
  EXPECT_EQ(ask("POST", "/v1/state/none/branch", R"({"to":"y"})").status, 404);
  EXPECT_EQ(ask("POST", "/v1/completions", R"({"prompt":"x","session":"a/b"})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/completions", R"({"prompt":"","session":"talk"})").status, 400);
  EXPECT_EQ(
      ask("POST", "/v1/completions", R"({"prompt":"x","session":"talk","skein":{"split_layer":1}})")
          .status,
      400);
  EXPECT_EQ(exported("talk"), good);  // nothing of this touched it
}

TEST_F(StateApiTest, AnAnswerThatIsCancelledLeavesTheSessionWhereItWas) {
  start(config_with_artifact());
  say("Hello", R"("max_tokens":3,"session":"talk")");
  const std::string before = exported("talk");
  ask("POST", "/v1/completions",
      R"({"prompt":" x","max_tokens":1000000,"stream":true,"session":"talk","seed":1})",
      [](std::string_view) { return false; });
  ASSERT_TRUE(soon([&] { return metric("skein_answers_running") == 0; }));
  EXPECT_EQ(exported("talk"), before);
}

TEST_F(StateApiTest, ASessionOfTheModelBeforeIsRefusedNotMisread) {
  EdgeConfig made = config_with_coordinator();
  coordinator_.offer = UpdateOffer{RolloutId(1), v1_, 1};
  start(std::move(made));
  ASSERT_TRUE(soon([&] { return node_->active() == v1_ && !coordinator_.offer; }));
  say("Hello", R"("max_tokens":3,"session":"talk")");
  coordinator_.offer = UpdateOffer{RolloutId(2), v2_, 1};
  ASSERT_TRUE(soon([&] { return node_->active() == v2_; }));
  const std::string why =
      refused(ask("POST", "/v1/completions", R"({"prompt":"x","session":"talk"})"), 409);
  EXPECT_EQ(why, "the session \"talk\" belongs to another model: delete it, or use another name");
}

}  // namespace
}  // namespace skein
