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
  EXPECT_EQ(request->sampler.temperature, 0.5F);
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

TEST(CompletionRequest, ReadsWhatSamplersAreTold) {
  const auto request = parse_completion(CompletionKind::kText, R"({"prompt":"", "min_p": 0.25,
    "top_k": 7, "frequency_penalty": -1.5, "presence_penalty": 2, "repeat_penalty": 1.5,
    "repeat_last_n": 9, "logit_bias": {"12": -100, "3": 0.5}, "seed": -1})");
  ASSERT_TRUE(request) << to_string(request.error());
  EXPECT_EQ(request->sampler.min_p, 0.25F);
  EXPECT_EQ(request->sampler.top_k, 7U);
  EXPECT_EQ(request->sampler.frequency_penalty, -1.5F);
  EXPECT_EQ(request->sampler.presence_penalty, 2.0F);
  EXPECT_EQ(request->sampler.repetition_penalty, 1.5F);
  EXPECT_EQ(request->sampler.repeat_last_n, 9U);
  EXPECT_EQ(request->sampler.logit_bias,
            (std::vector<std::pair<TokenId, float>>{{12, -100.0F}, {3, 0.5F}}));
  EXPECT_EQ(request->seed, ~std::uint64_t{0});
  EXPECT_EQ(parse_completion(CompletionKind::kText, R"({"prompt":"","repetition_penalty":1.25})")
                ->sampler.repetition_penalty,
            1.25F);
}

TEST(CompletionRequest, ReadsWhatTheAnswerIsToFollow) {
  using Kind = AnswerForm::Kind;
  const std::tuple<const char*, Kind, const char*, const char*> cases[] = {
      {R"("response_format":{"type":"text"})", Kind::kFree, "", ""},
      {R"("response_format":null,"grammar":null,"json_schema":null)", Kind::kFree, "", ""},
      {R"("grammar":"")", Kind::kFree, "", ""},
      {R"("response_format":{"type":"json_object"})", Kind::kAnyObject, "response_format", ""},
      {R"("response_format":{"type":"json_object","schema":{"type":"null"}})", Kind::kSchema,
       "response_format", R"({"type":"null"})"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,
          "schema":{"z":1,"a":2}}})",
       Kind::kSchema, "response_format", R"({"z":1,"a":2})"},
      {R"("json_schema":{"type":"null"},"grammar":"")", Kind::kSchema, "json_schema",
       R"({"type":"null"})"},
      {R"("grammar":"root ::= \"a\"")", Kind::kGrammar, "grammar", "root ::= \"a\""},
  };
  for (const auto& [fields, kind, field, text] : cases) {
    const std::string body = std::string(R"({"prompt":"",)") + fields + "}";
    const auto request = parse_completion(CompletionKind::kText, body);
    ASSERT_TRUE(request) << fields << to_string(request.error());
    EXPECT_EQ(request->form.kind, kind) << fields;
    EXPECT_EQ(request->form.field, field) << fields;
    EXPECT_EQ(request->form.text, text) << fields;
  }
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
      {R"({"prompt":"","n":9})", "\"n\""},
      {R"({"prompt":"","n":0})", "\"n\""},
      {R"({"prompt":"","n":2,"session":"a"})", "\"n\""},
      {R"({"prompt":"","stop":[1]})", "stop"},
      {R"({"prompt":"","stop":["","","","","","","","","","","","","","","","",""]})", "stop"},
      {R"({"prompt":"","seed":"x"})", "seed"},
      {R"({"prompt":"","stream":1})", "stream"},
      {R"({"prompt":"","min_p":1.5})", "min_p"},
      {R"({"prompt":"","frequency_penalty":2.5})", "frequency_penalty"},
      {R"({"prompt":"","presence_penalty":"x"})", "presence_penalty"},
      {R"({"prompt":"","repeat_penalty":0})", "repeat_penalty"},
      {R"({"prompt":"","repetition_penalty":-1})", "repetition_penalty"},
      {R"({"prompt":"","repeat_last_n":-1})", "repeat_last_n"},
      {R"({"prompt":"","top_k":1.5})", "top_k"},
      {R"({"prompt":"","logit_bias":[1]})", "logit_bias"},
      {R"({"prompt":"","logit_bias":{"x":1}})", "logit_bias"},
      {R"({"prompt":"","logit_bias":{"-1":1}})", "logit_bias"},
      {R"({"prompt":"","logit_bias":{"1":101}})", "logit_bias"},
      {R"({"prompt":"","logit_bias":{"1":"x"}})", "logit_bias"},
      {R"({"prompt":"","response_format":"json"})", "response_format"},
      {R"({"prompt":"","response_format":{}})", "response_format"},
      {R"({"prompt":"","response_format":{"type":"xml"}})", "response_format"},
      {R"({"prompt":"","response_format":{"type":"json_schema"}})", "response_format"},
      {R"({"prompt":"","response_format":{"type":"json_schema","json_schema":{"schema":1}}})",
       "response_format"},
      {R"({"prompt":"","response_format":{"type":"json_object","schema":[]}})", "response_format"},
      {R"({"prompt":"","grammar":1})", "grammar"},
      {R"({"prompt":"","json_schema":"x"})", "json_schema"},
      {R"({"prompt":"","grammar":"root ::= x","json_schema":{}})", "json_schema"},
      {R"({"prompt":"","response_format":{"type":"json_object"},"grammar":"x"})", "grammar"},
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
  const ReplyNotes notes{"abc", "split", 2, false, "talk", 77};
  const ReplyChoice said[] = {{sample_answer(), "say \"hi\"\n"}, {sample_answer(), "hello"}};
  const json::value reply = json::parse(whole_reply(head, said, notes));
  EXPECT_EQ(reply.at("object").as_string(), "chat.completion");
  EXPECT_EQ(reply.at("model").as_string(), "tiny");
  const json::value& choice = reply.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role").as_string(), "assistant");
  EXPECT_EQ(choice.at("message").at("content").as_string(), "say \"hi\"\n");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "length");
  EXPECT_EQ(reply.at("choices").at(1).at("index").to_number<int>(), 1);
  EXPECT_EQ(reply.at("choices").at(1).at("message").at("content").as_string(), "hello");
  EXPECT_EQ(reply.at("usage").at("prompt_tokens").to_number<int>(), 3);
  EXPECT_EQ(reply.at("usage").at("completion_tokens").to_number<int>(), 10);
  EXPECT_EQ(reply.at("skein").at("session").as_string(), "split");
  EXPECT_EQ(reply.at("skein").at("state").at("id").as_string(), "talk");
  EXPECT_EQ(reply.at("skein").at("state").at("tokens").to_number<int>(), 77);
  EXPECT_NEAR(reply.at("skein").at("decode_tokens_per_s").to_number<double>(), 22.5, 1e-9);
}

TEST(CompletionReply, StreamsEventsOfOneChunkEach) {
  const ReplyHead head{CompletionKind::kText, "cmpl-1", 1700000000, "tiny"};
  EXPECT_EQ(first_event(head, 0), "");
  const std::string event = text_event(head, 2, "a\nb");
  ASSERT_TRUE(event.starts_with("data: {") && event.ends_with("}\n\n"));
  EXPECT_EQ(event.find('\n'), event.size() - 2);  // one line, whatever the text holds
  const json::value chunk = json::parse(std::string_view(event).substr(6));
  EXPECT_EQ(chunk.at("choices").at(0).at("index").to_number<int>(), 2);
  EXPECT_EQ(chunk.at("choices").at(0).at("text").as_string(), "a\nb");
  EXPECT_TRUE(chunk.at("choices").at(0).at("finish_reason").is_null());
  const json::value usage =
      json::parse(std::string_view(usage_event(head, sample_answer())).substr(6));
  EXPECT_TRUE(usage.at("choices").as_array().empty());
  EXPECT_EQ(usage.at("usage").at("completion_tokens").to_number<int>(), 5);
}

}  // namespace
}  // namespace skein
