// Requests in, replies out: OpenAI's JSON.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "edge_node/app/internal/completion_reply.h"
#include "edge_node/app/internal/completion_request.h"

namespace skein {
namespace {

namespace json = boost::json;

TEST(CompletionRequest, ReadsAChat) {
  const auto request = parse_completion(CompletionKind::kChat, R"({
    "model": "anything", "messages": [
      {"role": "system", "content": "s"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": "END", "seed": 42,
    "stream": true, "stream_options": {"include_usage": true},
    "skein": {"split_layer": 3}, "user": "ignored"})");
  ASSERT_TRUE(request) << to_string(request.error());
  ASSERT_EQ(request->messages.size(), 2U);
  EXPECT_EQ(request->messages[1].content, "ab");
  EXPECT_EQ(request->temperature, 0.5F);
  EXPECT_EQ(request->max_tokens, 7U);
  EXPECT_EQ(request->stops, std::vector<std::string>{"END"});
  EXPECT_EQ(request->seed, 42U);
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  EXPECT_EQ(request->split_layer, 3U);
}

TEST(CompletionRequest, ReadsAPromptAsTextOrAsIds) {
  EXPECT_EQ(parse_completion(CompletionKind::kText, R"({"prompt":"x"})")->prompt, "x");
  EXPECT_EQ(parse_completion(CompletionKind::kText, R"({"prompt":["x"]})")->prompt, "x");
  EXPECT_EQ(parse_completion(CompletionKind::kText, R"({"prompt":[1,2]})")->prompt_ids,
            (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(parse_completion(CompletionKind::kText, R"({"prompt":"","max_completion_tokens":9})")
                ->max_tokens,
            9U);
}

TEST(CompletionRequest, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"nonsense", "body"},
      {"[]", "body"},
      {"{}", "prompt"},
      {R"({"prompt":5})", "prompt"},
      {R"({"prompt":[1,-2]})", "prompt"},
      {R"({"prompt":"","temperature":"hot"})", "temperature"},
      {R"({"prompt":"","temperature":-1})", "temperature"},
      {R"({"prompt":"","top_p":1.5})", "top_p"},
      {R"({"prompt":"","max_tokens":1.5})", "max_tokens"},
      {R"({"prompt":"","max_tokens":99999999})", "max_tokens"},
      {R"({"prompt":"","n":2})", "\"n\""},
      {R"({"prompt":"","stop":[1]})", "stop"},
      {R"({"prompt":"","stop":["","","","","","","","","","","","","","","","",""]})", "stop"},
      {R"({"prompt":"","seed":"x"})", "seed"},
      {R"({"prompt":"","stream":1})", "stream"},
      {R"({"prompt":"","skein":{"split_layer":-1}})", "split_layer"},
      {R"({"prompt":"","skein":1})", "skein"},
  };
  for (const auto& [body, named] : cases) {
    const auto refused = parse_completion(CompletionKind::kText, body);
    ASSERT_FALSE(refused) << body;
    EXPECT_EQ(refused.error().code, Errc::kUsage);
    EXPECT_NE(refused.error().what.find(named), std::string::npos) << refused.error().what;
  }
  for (const char* body : {R"({"messages":[]})", R"({"messages":[{"content":"x"}]})",
                           R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})"}) {
    EXPECT_FALSE(parse_completion(CompletionKind::kChat, body)) << body;
  }
}

Answer sample_answer() {
  Answer answer;
  answer.finish = Finish::kLength;
  answer.prompt_tokens = 3;
  answer.completion_tokens = 5;
  answer.first_token = std::chrono::milliseconds(100);
  answer.whole = std::chrono::milliseconds(500);
  return answer;
}

TEST(CompletionReply, IsWhatOpenAiClientsRead) {
  const ReplyHead head{CompletionKind::kChat, "chatcmpl-1", 1700000000, "tiny"};
  const ReplyNotes notes{"abc", "split", 2, false};
  const json::value reply = json::parse(whole_reply(head, sample_answer(), "say \"hi\"\n", notes));
  EXPECT_EQ(reply.at("object").as_string(), "chat.completion");
  EXPECT_EQ(reply.at("model").as_string(), "tiny");
  const json::value& choice = reply.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role").as_string(), "assistant");
  EXPECT_EQ(choice.at("message").at("content").as_string(), "say \"hi\"\n");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "length");
  EXPECT_EQ(reply.at("usage").at("total_tokens").to_number<int>(), 8);
  EXPECT_EQ(reply.at("skein").at("session").as_string(), "split");
  EXPECT_NEAR(reply.at("skein").at("decode_tokens_per_s").to_number<double>(), 10, 1e-9);
}

TEST(CompletionReply, StreamsEventsOfOneChunkEach) {
  const ReplyHead head{CompletionKind::kText, "cmpl-1", 1700000000, "tiny"};
  EXPECT_EQ(first_event(head), "");
  const std::string event = text_event(head, "a\nb");
  ASSERT_TRUE(event.starts_with("data: {") && event.ends_with("}\n\n"));
  EXPECT_EQ(event.find('\n'), event.size() - 2);  // one line, whatever the text holds
  const json::value chunk = json::parse(std::string_view(event).substr(6));
  EXPECT_EQ(chunk.at("choices").at(0).at("text").as_string(), "a\nb");
  EXPECT_TRUE(chunk.at("choices").at(0).at("finish_reason").is_null());
  const json::value usage =
      json::parse(std::string_view(usage_event(head, sample_answer())).substr(6));
  EXPECT_TRUE(usage.at("choices").as_array().empty());
  EXPECT_EQ(usage.at("usage").at("completion_tokens").to_number<int>(), 5);
}

}  // namespace
}  // namespace skein
