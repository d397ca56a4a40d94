// HttpApi: every path of the device's HTTP side. Owned by the node; loop thread only.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "edge_node/app/internal/answer_api.h"
#include "edge_node/app/internal/state_api.h"

namespace skein {

// What other rooms know, asked at the moment of the request.
struct HttpFacts {
  std::function<std::string()> status_json;   // GET /v1/status
  std::function<void(EdgeMetrics&)> refresh;  // before /metrics
};

class HttpApi {
 public:
  HttpApi(Env env, ModelHost& host, AnswerApi& answers, StateApi& states, EdgeMetrics& metrics,
          HttpFacts facts);
  Task<void> handle(HttpRequest request, HttpResponder& responder);

 private:
  using Simple = std::function<HttpResponse(const HttpRequest&)>;
  HttpResponse ready() const;
  HttpResponse models() const;
  HttpResponse metrics_text();
  HttpResponse tokenize(const HttpRequest& request) const;
  HttpResponse detokenize(const HttpRequest& request) const;

  Env env_;
  ModelHost& host_;
  AnswerApi& answers_;
  StateApi& states_;
  EdgeMetrics& metrics_;
  HttpFacts facts_;
  std::map<std::pair<std::string, std::string>, Simple> routes_;  // (method, path)
};

}  // namespace skein
