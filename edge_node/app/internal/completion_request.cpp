#include "edge_node/app/internal/completion_request.h"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <sstream>

#include "common/artifact/model_config.h"
#include "edge_node/app/internal/kept_states.h"
#include "edge_node/generate/generator.h"

namespace skein {

namespace {

namespace json = boost::json;

tl::unexpected<Error> bad(std::string_view field, std::string_view expected) {
  return fail(Errc::kUsage, "\"" + std::string(field) + "\" must be " + std::string(expected));
}

// The field, or nullptr when it is absent or null.
const json::value* field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// Leaves `number` as it is when the field is absent.
Result<void> read_number(const json::object& object, std::string_view name, SamplerRange range,
                         float& number) {
  const json::value* value = field(object, name);
  if (value == nullptr) return {};
  boost::system::error_code error;
  const auto parsed = value->to_number<double>(error);
  if (error || !(parsed >= range.least && parsed <= range.most)) {
    std::ostringstream bounds;
    bounds << "a number from " << range.least << " to " << range.most;
    return bad(name, bounds.str());
  }
  number = static_cast<float>(parsed);
  return {};
}

Result<std::uint64_t> whole(const json::object& object, std::string_view name,
                            std::uint64_t otherwise, std::uint64_t most) {
  const json::value* value = field(object, name);
  if (value == nullptr) return otherwise;
  boost::system::error_code error;
  const auto parsed = value->to_number<std::uint64_t>(error);
  if (error || parsed > most) return bad(name, "a whole number up to " + std::to_string(most));
  return parsed;
}

Result<bool> flag(const json::object& object, std::string_view name) {
  const json::value* value = field(object, name);
  if (value == nullptr) return false;
  if (!value->is_bool()) return bad(name, "true or false");
  return value->get_bool();
}

// A message's content: a text, or a list of text parts.
Result<std::string> content_of(const json::object& message) {
  const json::value* content = field(message, "content");
  if (content == nullptr) return std::string();
  if (content->is_string()) return std::string(content->get_string());
  if (!content->is_array()) return bad("content", "a text or a list of text parts");
  std::string text;
  for (const json::value& part : content->get_array()) {
    const auto* object = part.if_object();
    const json::value* words = object != nullptr ? field(*object, "text") : nullptr;
    if (words == nullptr || !words->is_string())
      return bad("content", "text: nothing else is read");
    text += std::string_view(words->get_string());
  }
  return text;
}

Result<void> read_messages(const json::object& body, CompletionRequest& request) {
  const json::value* list = field(body, "messages");
  if (list == nullptr || !list->is_array() || list->get_array().empty() ||
      list->get_array().size() > kMaxMessages) {
    return bad("messages", "a list of messages");
  }
  for (const json::value& item : list->get_array()) {
    const auto* message = item.if_object();
    const json::value* role = message != nullptr ? field(*message, "role") : nullptr;
    if (role == nullptr || !role->is_string()) return bad("messages", "objects with a role");
    TRY(std::string content, content_of(*message));
    request.messages.push_back({std::string(role->get_string()), std::move(content)});
  }
  return {};
}

Result<void> read_prompt(const json::object& body, CompletionRequest& request) {
  const json::value* prompt = field(body, "prompt");
  if (prompt == nullptr) return bad("prompt", "a text or a list of token ids");
  if (prompt->is_string()) {
    request.prompt = std::string(prompt->get_string());
    return {};
  }
  if (!prompt->is_array() || prompt->get_array().size() > kMaxPromptTokens) {
    return bad("prompt", "one text or one list of token ids");
  }
  const json::array& list = prompt->get_array();
  if (list.size() == 1 && list[0].is_string()) {
    request.prompt = std::string(list[0].get_string());
    return {};
  }
  std::vector<TokenId> ids;
  for (const json::value& item : list) {
    boost::system::error_code error;
    ids.push_back(item.to_number<TokenId>(error));
    if (error) return bad("prompt", "one text or one list of token ids");
  }
  request.prompt_ids = std::move(ids);
  return {};
}

Result<void> read_stops(const json::object& body, CompletionRequest& request) {
  const json::value* stop = field(body, "stop");
  if (stop == nullptr) return {};
  json::array list;
  if (stop->is_array()) {
    list = stop->get_array();
  } else {
    list.push_back(*stop);
  }
  if (list.size() > kMaxStops) return bad("stop", "at most 16 texts");
  for (const json::value& item : list) {
    if (!item.is_string() || item.get_string().size() > kMaxStopBytes) {
      return bad("stop", "a text of at most 256 bytes, or a list of such");
    }
    request.stops.emplace_back(std::string_view(item.get_string()));
  }
  return {};
}

Result<void> read_sampling(const json::object& body, CompletionRequest& request) {
  SamplerOptions& sampler = request.sampler;
  TRY_VOID(read_number(body, "temperature", kTemperatureRange, sampler.temperature));
  TRY_VOID(read_number(body, "top_p", kShareRange, sampler.top_p));
  TRY_VOID(read_number(body, "min_p", kShareRange, sampler.min_p));
  TRY_VOID(read_number(body, "frequency_penalty", kPenaltyRange, sampler.frequency_penalty));
  TRY_VOID(read_number(body, "presence_penalty", kPenaltyRange, sampler.presence_penalty));
  // llama.cpp's name and the other servers' one.
  const bool long_name = field(body, "repetition_penalty") != nullptr;
  TRY_VOID(read_number(body, long_name ? "repetition_penalty" : "repeat_penalty",
                       kRepetitionPenaltyRange, sampler.repetition_penalty));
  TRY(const std::uint64_t repeat_last_n,
      whole(body, "repeat_last_n", sampler.repeat_last_n, kMaxRepeatLastN));
  TRY(const std::uint64_t top_k, whole(body, "top_k", 0, kMaxVocab));
  const bool new_name = field(body, "max_completion_tokens") != nullptr;
  TRY(const std::uint64_t max_tokens, whole(body, new_name ? "max_completion_tokens" : "max_tokens",
                                            kDefaultMaxTokens, kMaxAnswerTokens));
  TRY(const std::uint64_t choices, whole(body, "n", 1, kMaxChoices));
  if (choices == 0) return bad("n", "at least 1");
  sampler.repeat_last_n = static_cast<std::uint32_t>(repeat_last_n);
  sampler.top_k = static_cast<std::uint32_t>(top_k);
  request.choices = static_cast<std::uint32_t>(choices);
  request.max_tokens = static_cast<std::uint32_t>(max_tokens);
  if (const json::value* seed = field(body, "seed")) {
    boost::system::error_code error;
    const auto parsed = seed->to_number<std::int64_t>(error);
    if (error) return bad("seed", "a whole number");
    request.seed = static_cast<std::uint64_t>(parsed);
  }
  return {};
}

Result<void> read_logit_bias(const json::object& body, SamplerOptions& sampler) {
  const json::value* biases = field(body, "logit_bias");
  if (biases == nullptr) return {};
  const std::string expected = "an object of at most " + std::to_string(kMaxLogitBias) +
                               " token ids, each with a number from -100 to 100";
  const auto* object = biases->if_object();
  if (object == nullptr || object->size() > kMaxLogitBias) return bad("logit_bias", expected);
  for (const auto& [key, value] : *object) {
    TokenId id = 0;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), id);
    boost::system::error_code error;
    const auto bias = value.to_number<double>(error);
    const bool is_id = read.ec == std::errc{} && read.ptr == key.data() + key.size();
    if (!is_id || error || !(bias >= kLogitBiasRange.least && bias <= kLogitBiasRange.most)) {
      return bad("logit_bias", expected);
    }
    sampler.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  return {};
}

bool is_schema(const json::value* value) {
  return value != nullptr && (value->is_object() || value->is_bool());
}

AnswerForm schema_form(std::string_view field, const json::value& schema) {
  return {AnswerForm::Kind::kSchema, std::string(field), json::serialize(schema)};
}

// OpenAI's {"type":"json_schema","json_schema":{"schema":...}}, and llama.cpp's schema of a
// "json_object".
Result<AnswerForm> read_response_format(const json::value& format) {
  constexpr std::string_view kField = "response_format";
  const auto* object = format.if_object();
  const json::value* type = object != nullptr ? field(*object, "type") : nullptr;
  if (type == nullptr || !type->is_string()) return bad(kField, "an object with a \"type\"");
  const std::string_view name = type->get_string();
  if (name == "text") return AnswerForm{};
  const json::value* holder = name == "json_schema" ? field(*object, "json_schema") : &format;
  const auto* within = holder != nullptr ? holder->if_object() : nullptr;
  const json::value* schema = within != nullptr ? field(*within, "schema") : nullptr;
  if (name == "json_object" && schema == nullptr) {
    return AnswerForm{AnswerForm::Kind::kAnyObject, std::string(kField), {}};
  }
  if (name != "json_object" && name != "json_schema") {
    return bad(kField, "of type \"text\", \"json_object\" or \"json_schema\"");
  }
  if (!is_schema(schema)) return bad(kField, "with a JSON schema in \"json_schema\".\"schema\"");
  return schema_form(kField, *schema);
}

Result<void> read_form(const json::object& body, CompletionRequest& request) {
  std::vector<AnswerForm> forms;
  if (const json::value* format = field(body, "response_format")) {
    TRY(AnswerForm form, read_response_format(*format));
    forms.push_back(std::move(form));
  }
  if (const json::value* grammar = field(body, "grammar")) {
    if (!grammar->is_string()) return bad("grammar", "a text in GBNF");
    std::string text(grammar->get_string());
    const auto kind = text.empty() ? AnswerForm::Kind::kFree : AnswerForm::Kind::kGrammar;
    forms.push_back({kind, "grammar", std::move(text)});
  }
  if (const json::value* schema = field(body, "json_schema")) {
    if (!is_schema(schema)) return bad("json_schema", "a JSON schema");
    forms.push_back(schema_form("json_schema", *schema));
  }
  for (AnswerForm& form : forms) {
    if (form.kind == AnswerForm::Kind::kFree) continue;
    if (request.form.kind != AnswerForm::Kind::kFree) {
      return bad(form.field, "absent when \"" + request.form.field + "\" is given");
    }
    request.form = std::move(form);
  }
  return {};
}

Result<void> read_options(const json::object& body, CompletionRequest& request) {
  TRY(request.stream, flag(body, "stream"));
  if (const json::value* options = field(body, "stream_options")) {
    if (!options->is_object()) return bad("stream_options", "an object");
    TRY(request.include_usage, flag(options->get_object(), "include_usage"));
  }
  if (const json::value* own = field(body, "skein")) {
    if (!own->is_object()) return bad("skein", "an object");
    if (field(own->get_object(), "split_layer") != nullptr) {
      TRY(const std::uint64_t layer, whole(own->get_object(), "split_layer", 0, kMaxLayers));
      request.split_layer = static_cast<std::uint32_t>(layer);
    }
  }
  return {};
}

// What is told of several choices is told of choices that begin alike, and here.
Result<void> check_choices(const CompletionRequest& request) {
  if (request.choices == 1) return {};
  if (!request.session.empty()) return bad("n", "1 with \"session\"");
  if (request.split_layer.value_or(0) != 0) return bad("n", "1 with \"split_layer\"");
  return {};
}

Result<void> read_session(const json::object& body, CompletionRequest& request) {
  const json::value* session = field(body, "session");
  if (session == nullptr) return {};
  if (!session->is_string()) return bad("session", "a name");
  request.session = std::string(session->get_string());
  TRY_VOID(check_state_name(request.session));
  if (request.split_layer.value_or(0) != 0) {
    return bad("split_layer", "0 with \"session\": a kept state is all here");
  }
  return {};
}

}  // namespace

Result<CompletionRequest> parse_completion(CompletionKind kind, std::string_view text) {
  boost::system::error_code error;
  json::parse_options parsing;
  parsing.max_depth = kMaxBodyDepth;
  const json::value value = json::parse(text, error, {}, parsing);
  if (error || !value.is_object()) {
    return fail(Errc::kUsage, "the body is not a JSON object");
  }
  const json::object& body = value.get_object();
  CompletionRequest request;
  request.kind = kind;
  if (kind == CompletionKind::kChat) {
    TRY_VOID(read_messages(body, request));
  } else {
    TRY_VOID(read_prompt(body, request));
  }
  TRY_VOID(read_stops(body, request));
  TRY_VOID(read_sampling(body, request));
  TRY_VOID(read_logit_bias(body, request.sampler));
  TRY_VOID(read_form(body, request));
  TRY_VOID(read_options(body, request));
  TRY_VOID(read_session(body, request));
  TRY_VOID(check_choices(request));
  return request;
}

}  // namespace skein
