#include "simulations/scenarios/internal/operator_desk.h"

#include <boost/json/parse.hpp>

#include "common/http/http.h"

namespace skein::story {
namespace {

namespace json = boost::json;
constexpr Duration kPatience = std::chrono::seconds(30);  // one request
constexpr Duration kBetweenTries = std::chrono::seconds(2);

std::optional<json::value> parse(const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return std::nullopt;
  return value;
}

}  // namespace

OperatorDesk::OperatorDesk(World& world, Fleet& fleet)
    : world_(world), fleet_(fleet), env_(world.node_env("operator")) {}

Task<std::string> OperatorDesk::admin_token() {
  for (;;) {
    const auto file = world_.file("coordinator", "/data/admin.token");
    if (file && !file->empty()) {
      std::string token(as_text(*file));
      while (!token.empty() && token.back() == '\n') token.pop_back();
      co_return token;
    }
    co_await world_.clock().sleep_for(kBetweenTries);
  }
}

Task<std::optional<json::value>> OperatorDesk::ask(std::string method, std::string path,
                                                   std::string body) {
  for (;;) {
    const std::string token = co_await admin_token();
    HttpCall call;
    call.to = {"coordinator", 7071};
    call.request.method = method;
    call.request.path = path;
    call.request.headers["authorization"] = "Bearer " + token;
    call.request.headers["content-type"] = "application/json";
    call.request.body = body;
    const Instant deadline = world_.clock().now() + kPatience;
    const auto response = co_await http_call(env_, std::move(call), deadline);
    if (response && response->status < 300) co_return parse(response->body);
    if (response && response->status < 500 && response->status != 408 && response->status != 429) {
      refusal_ = std::to_string(response->status) + " " + response->body;
      co_return std::nullopt;
    }
    co_await world_.clock().sleep_for(kBetweenTries);
  }
}

Task<std::optional<json::value>> OperatorDesk::complete(std::uint32_t device, std::string body) {
  const auto env = fleet_.device_env(device);
  if (!env) co_return std::nullopt;
  HttpCall call;
  call.to = {"127.0.0.1", 7080};
  call.request.method = "POST";
  call.request.path = "/v1/completions";
  call.request.headers["content-type"] = "application/json";
  call.request.body = std::move(body);
  const Instant deadline = world_.clock().now() + std::chrono::minutes(2);
  const auto response = co_await http_call(*env, std::move(call), deadline);
  if (!response || response->status != 200) co_return std::nullopt;
  co_return parse(response->body);
}

}  // namespace skein::story
