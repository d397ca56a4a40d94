// AdminApi: the HTTP port: probes, metrics, the dashboard and /api/v1 behind a bearer token. Owned
// by Coordinator; loop thread only. A request is routed by (method, path); what it changes, a room
// changes.
#pragma once

#include <boost/json.hpp>
#include <vector>

#include "common/http/http.h"
#include "coordinator/app/internal/rooms.h"

namespace skein {

class AdminApi {
 public:
  AdminApi(Rooms& rooms, std::string token);
  Task<void> handle(HttpRequest request, HttpResponder& responder);
  void drain() { draining_ = true; }  // /ready says no from now on

 private:
  using Answer = Result<HttpResponse>;
  using Parts = std::vector<std::string>;  // of the path, below /api/v1
  struct Route;
  static const std::vector<Route>& routes();
  Task<Answer> answer(HttpRequest request);
  Task<Answer> api(HttpRequest request);
  Answer open_page(const HttpRequest& request) const;  // what needs no token
  bool authorized(const HttpRequest& request) const;

  // One per route; `parts` are the path's segments that the route leaves open.
  Task<Answer> make_token(HttpRequest request, Parts parts);
  Task<Answer> list_devices(HttpRequest request, Parts parts);
  Task<Answer> show_device(HttpRequest request, Parts parts);
  Task<Answer> operate_device(HttpRequest request, Parts parts);
  Task<Answer> list_artifacts(HttpRequest request, Parts parts);
  Task<Answer> publish_artifact(HttpRequest request, Parts parts);
  Task<Answer> begin_upload(HttpRequest request, Parts parts);
  Task<Answer> continue_upload(HttpRequest request, Parts parts);
  Task<Answer> show_artifact(HttpRequest request, Parts parts);
  Task<Answer> list_rollouts(HttpRequest request, Parts parts);
  Task<Answer> create_rollout(HttpRequest request, Parts parts);
  Task<Answer> show_rollout(HttpRequest request, Parts parts);
  Task<Answer> operate_rollout(HttpRequest request, Parts parts);
  Task<Answer> list_rounds(HttpRequest request, Parts parts);
  Task<Answer> open_round(HttpRequest request, Parts parts);
  Task<Answer> show_round(HttpRequest request, Parts parts);
  Task<Answer> list_sessions(HttpRequest request, Parts parts);

  Result<void> label_device(DeviceId id, const std::string& body);
  Result<void> cordon_device(DeviceId id, const std::string& body);
  Result<Digest> find_artifact(std::string_view text) const;  // a digest or its unique beginning
  Result<RoundPlan> plan_of(const boost::json::object& body) const;

  Rooms& rooms_;
  Digest token_hash_;
  bool draining_ = false;
};

}  // namespace skein
