// A whole device over real sockets: HTTP on loopback, a coordinator behind TLS. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "common/artifact/artifact_file.h"
#include "common/http/http.h"
#include "edge_node/app/edge_node.h"
#include "tests/edge_node/tls_coordinator.h"

namespace skein::test {

namespace json = boost::json;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class EdgeNodeWorld : public testing::Test {
 protected:
  EdgeNodeWorld() = default;
  explicit EdgeNodeWorld(const std::filesystem::path& parent) : folder_(parent) {}
  ~EdgeNodeWorld() override {
    if (node_) real_.run(node_->stop());
    real_.run(coordinator_.stop());
  }

  EdgeConfig config() {
    EdgeConfig config;
    config.data_dir = folder_.path() + "/data";
    config.listen = "127.0.0.1:0";
    return config;
  }
  EdgeConfig config_with_artifact() {
    const std::string path = folder_.path() + "/tiny.skein";
    EXPECT_TRUE(real_.run(write_artifact(env_.disk, path, *base_, std::nullopt)));
    EdgeConfig made = config();
    made.artifact = path;
    return made;
  }
  EdgeConfig config_with_coordinator() {
    coordinator_.listen();
    v1_ = coordinator_.behind.publish(*base_, kArtifactKey);
    v2_ = coordinator_.behind.publish(*tuned_, kArtifactKey);
    coordinator_.behind.model = host(env_, golden_artifact());
    EdgeConfig made = config();
    made.address = to_string(coordinator_.endpoint());
    made.token = coordinator_.token();
    return made;
  }
  void start(EdgeConfig config) {
    node_ = std::make_unique<EdgeNode>(env_, std::move(config));
    const auto started = real_.run(node_->start());
    ASSERT_TRUE(started) << to_string(started.error());
  }

  HttpResponse ask(std::string method, std::string path, std::string body = "",
                   std::function<bool(std::string_view)> on_chunk = {}) {
    HttpCall call;
    call.to = node_->http();
    call.request.method = std::move(method);
    call.request.path = std::move(path);
    call.request.body = std::move(body);
    call.on_chunk = std::move(on_chunk);
    auto response = real_.run(http_call(env_, std::move(call), env_.clock.now() + 30s));
    if (!response) return {.status = 0, .headers = {}, .body = to_string(response.error())};
    return *response;
  }
  json::value answer(const std::string& path, const std::string& body) {
    const HttpResponse response = ask("POST", path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return response.status == 200 ? json::parse(response.body) : json::value();
  }
  // The text of a greedy completion; `extra` is more JSON fields.
  std::string complete(const std::string& extra = "") {
    const json::value reply =
        answer("/v1/completions",
               R"({"prompt":"Hello there","max_tokens":20,"temperature":0)" + extra + "}");
    return std::string(reply.at("choices").at(0).at("text").as_string());
  }
  // The objects of a stream of server-sent events, which ends with [DONE].
  static std::vector<json::value> events_of(const std::string& stream) {
    std::vector<json::value> events;
    EXPECT_TRUE(stream.ends_with("\n\ndata: [DONE]\n\n")) << stream;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t end = stream.find("\n\n", at);
      if (end == std::string::npos || stream.substr(at, 6) != "data: ") {
        ADD_FAILURE() << stream.substr(at);
        break;
      }
      const std::string data = stream.substr(at + 6, end - at - 6);
      at = end + 2;
      if (data != "[DONE]") events.push_back(json::parse(data));
    }
    return events;
  }
  static std::string text_of(const std::vector<json::value>& events, std::int64_t index = 0) {
    std::string text;
    for (const json::value& event : events) {
      for (const json::value& choice : event.at("choices").as_array()) {
        if (choice.at("index").as_int64() != index) continue;
        text += std::string_view(choice.at("text").as_string());
      }
    }
    return text;
  }
  bool soon(const std::function<bool()>& what) {
    for (int i = 0; i < 1000 && !what(); ++i) real_.run(env_.clock.sleep_for(10ms));
    return what();
  }
  double metric(const std::string& name) {
    const std::string text = ask("GET", "/metrics").body;
    const std::size_t at = text.find("\n" + name + " ");
    EXPECT_NE(at, std::string::npos) << name << "\n" << text;
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env_ = real_.env();
  ScopedFolder folder_;
  std::unique_ptr<MemoryArtifact> base_ = golden_artifact();
  std::unique_ptr<MemoryArtifact> tuned_ = tuned_artifact(*base_, 0.25F);
  TlsCoordinator coordinator_{env_};
  std::unique_ptr<EdgeNode> node_;
  Digest v1_, v2_;
};

}  // namespace skein::test
