// StateApi: /v1/state: kept states listed, exported, imported, branched, dropped. Owned by the
// node; loop thread only; bytes are summed on Compute.
//   GET    /v1/state                           the list
//   GET    /v1/state/NAME                      its saved form (common/model/state.cpp)
//   PUT    /v1/state/NAME  (or POST)           such bytes; replaces
//   POST   /v1/state/NAME/branch {"to":NAME}   a copy under another name
//   DELETE /v1/state/NAME
#pragma once

#include "common/http/http.h"
#include "edge_node/app/internal/kept_states.h"
#include "edge_node/generate/model_host.h"

namespace skein {

class StateApi {
 public:
  StateApi(Env env, ModelHost& host, KeptStates& states)
      : env_(env), host_(host), states_(states) {}

  static bool owns(std::string_view path);
  Task<HttpResponse> handle(HttpRequest request);

 private:
  HttpResponse list();
  Task<HttpResponse> export_state(std::string name);
  Task<HttpResponse> import_state(std::string name, std::string bytes);
  HttpResponse branch(const std::string& name, const std::string& body);
  HttpResponse drop(const std::string& name);

  Env env_;
  ModelHost& host_;
  KeptStates& states_;
};

}  // namespace skein
