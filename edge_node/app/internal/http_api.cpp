#include "edge_node/app/internal/http_api.h"

#include <boost/json.hpp>

#include "edge_node/generate/text_stream.h"
#include "kernels/isa/isa.h"

namespace skein {

namespace {

namespace json = boost::json;

HttpResponse bad_request(std::string_view why) {
  return error_response(400, why, "invalid_request_error");
}

Result<json::object> object_of(const std::string& body) {
  boost::system::error_code error;
  json::value value = json::parse(body, error);
  if (error || !value.is_object()) return fail(Errc::kUsage, "the body is not a JSON object");
  return std::move(value.get_object());
}

}  // namespace

HttpApi::HttpApi(Env env, ModelHost& host, AnswerApi& answers, StateApi& states,
                 EdgeMetrics& metrics, HttpFacts facts)
    : env_(env),
      host_(host),
      answers_(answers),
      states_(states),
      metrics_(metrics),
      facts_(std::move(facts)) {
  routes_[{"GET", "/health"}] = [](const HttpRequest&) {
    return json_response(200, R"({"status":"ok"})");
  };
  routes_[{"GET", "/ready"}] = [this](const HttpRequest&) { return ready(); };
  routes_[{"GET", "/version"}] = [](const HttpRequest&) {
    return json_response(200, json::serialize(json::object{{"name", "skein-edge"},
                                                           {"version", SKEIN_VERSION},
                                                           {"isa", name_of(current_isa())}}));
  };
  routes_[{"GET", "/metrics"}] = [this](const HttpRequest&) { return metrics_text(); };
  routes_[{"GET", "/v1/models"}] = [this](const HttpRequest&) { return models(); };
  routes_[{"GET", "/v1/status"}] = [this](const HttpRequest&) {
    return json_response(200, facts_.status_json());
  };
  routes_[{"POST", "/tokenize"}] = [this](const HttpRequest& request) { return tokenize(request); };
  routes_[{"POST", "/detokenize"}] = [this](const HttpRequest& request) {
    return detokenize(request);
  };
}

Task<void> HttpApi::handle(HttpRequest request, HttpResponder& responder) {
  const bool post = request.method == "POST";
  if (post && request.path == "/v1/chat/completions") {
    co_await answers_.answer(CompletionKind::kChat, std::move(request), responder);
    co_return;
  }
  if (post && request.path == "/v1/completions") {
    co_await answers_.answer(CompletionKind::kText, std::move(request), responder);
    co_return;
  }
  HttpResponse response;
  const auto route = routes_.find({request.method, request.path});
  if (StateApi::owns(request.path)) {
    response = co_await states_.handle(std::move(request));
  } else if (route != routes_.end()) {
    response = route->second(request);
  } else {
    response = error_response(404, "no " + request.method + " " + request.path + " here",
                              "invalid_request_error");
  }
  const auto sent = co_await responder.respond(std::move(response));
  if (!sent) env_.log.debug("reply not sent", {{"reason", to_string(sent.error())}});
}

HttpResponse HttpApi::ready() const {
  if (host_.current() == nullptr) return error_response(503, "no model is active yet", "not_ready");
  return json_response(200, R"({"status":"ready"})");
}

HttpResponse HttpApi::models() const {
  json::array list;
  if (const auto model = host_.current()) {
    list.push_back(json::object{{"id", model->name},
                                {"object", "model"},
                                {"created", 0},
                                {"owned_by", "skein"},
                                {"skein",
                                 {{"artifact", model->digest.hex()},
                                  {"version", model->version},
                                  {"layers", model->model->config().layers},
                                  {"width", model->model->config().width}}}});
  }
  return json_response(
      200, json::serialize(json::object{{"object", "list"}, {"data", std::move(list)}}));
}

HttpResponse HttpApi::metrics_text() {
  facts_.refresh(metrics_);
  return metrics_.response();
}

HttpResponse HttpApi::tokenize(const HttpRequest& request) const {
  const auto model = host_.current();
  if (model == nullptr || model->model->tokenizer() == nullptr) {
    return error_response(503, "no vocabulary is active yet", "not_ready");
  }
  const auto body = object_of(request.body);
  if (!body) return bad_request(to_string(body.error()));
  const json::value* text = body->if_contains("content");
  if (text == nullptr) text = body->if_contains("text");
  if (text == nullptr || !text->is_string()) return bad_request("\"content\" must be a text");
  const auto ids = model->model->tokenizer()->encode(std::string_view(text->get_string()));
  if (!ids) return bad_request(to_string(ids.error()));
  return json_response(
      200, json::serialize(json::object{{"tokens", json::array(ids->begin(), ids->end())}}));
}

HttpResponse HttpApi::detokenize(const HttpRequest& request) const {
  const auto model = host_.current();
  if (model == nullptr || model->model->tokenizer() == nullptr) {
    return error_response(503, "no vocabulary is active yet", "not_ready");
  }
  const auto body = object_of(request.body);
  if (!body) return bad_request(to_string(body.error()));
  const json::value* tokens = body->if_contains("tokens");
  if (tokens == nullptr || !tokens->is_array()) return bad_request("\"tokens\" must be a list");
  std::vector<TokenId> ids;
  for (const json::value& item : tokens->get_array()) {
    boost::system::error_code error;
    ids.push_back(item.to_number<TokenId>(error));
    if (error) return bad_request("\"tokens\" must be token ids");
  }
  auto bytes = model->model->tokenizer()->decode(ids);
  if (!bytes) return bad_request(to_string(bytes.error()));
  const std::string text = take_text(*bytes, bytes->size(), true);
  return json_response(200, json::serialize(json::object{{"content", text}}));
}

}  // namespace skein
